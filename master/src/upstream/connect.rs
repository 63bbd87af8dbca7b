//! Starting a context from another with upstream Mitogen's own method, which is a function call.

use mitogen_core::call::{CallError, Context};
use mitogen_core::ids::ContextId;
use mitogen_core::pickle::Value;
use mitogen_core::router::SendError;
use serde::Deserialize;
use thiserror::Error;

/// Upstream Mitogen's own method did not start a context.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpstreamConnectError {
    /// The method failed in `via`.
    #[error("{via}: {message}")]
    Failed {
        /// The name of the context that was to start it.
        via: String,
        /// The message of upstream Mitogen.
        message: String,
    },
    /// The call failed: the context is lost, has no such method, or does not run upstream Mitogen.
    #[error("cannot start a context from {via}")]
    Call {
        /// The name of the context that was to start it.
        via: String,
        /// The error of the call.
        #[source]
        source: CallError,
    },
    /// The new context was lost before it could be used.
    #[error(transparent)]
    Lost(#[from] SendError),
}

/// The reply of `_proxy_connect`.
#[derive(Deserialize)]
struct Connected {
    id: Option<u32>,
    name: Option<String>,
    msg: Option<String>,
}

/// Starts a context from `via`, which runs upstream Mitogen, with upstream Mitogen's own `method` (`local`,
/// `sudo`, `ssh` ...) and that method's options. Blocks until it is connected.
///
/// The method runs on the main thread of `via`, after the calls that `via` was sent before.
///
/// # Errors
/// See [`UpstreamConnectError`].
pub fn connect(
    via: &Context,
    method: &str,
    options: &[(&str, Value)],
) -> Result<Context, UpstreamConnectError> {
    let call_error = |source| UpstreamConnectError::Call { via: via.name().to_owned(), source };
    let router = via.router();
    let mut kwargs = vec![
        (Value::from("debug"), Value::Bool(false)),
        (Value::from("profiling"), Value::Bool(false)),
        (Value::from("unidirectional"), Value::Bool(router.unidirectional())),
    ];
    kwargs.extend(options.iter().map(|(name, value)| (Value::from(*name), value.clone())));
    let function =
        "mitogen.parent._proxy_connect".parse().map_err(|error| call_error(CallError::Name(error)))?;
    let answer: Connected = via
        .request(function)
        .kwarg("name", Value::None)
        .kwarg("method_name", method)
        .kwarg("kwargs", Value::Kwargs(kwargs))
        .call()
        .map_err(call_error)?;
    let Connected { id: Some(id), name, .. } = answer else {
        let message = answer.msg.unwrap_or_else(|| "failed without a reason".to_owned());
        return Err(UpstreamConnectError::Failed { via: via.name().to_owned(), message });
    };
    let id = ContextId(id);
    let hop = router.next_hop(via.id());
    if hop.is_none() || router.next_hop(id) != hop || id == via.id() {
        let message = format!("the reply names context {id}, which is not behind it");
        return Err(UpstreamConnectError::Failed { via: via.name().to_owned(), message });
    }
    let name = format!("{}.{}", via.name(), name.as_deref().unwrap_or(method));
    // The announcement of its route came before the reply and did not name its parent.
    router.links().begin_route(id, via.id(), &name)?;
    Ok(Context::new(router, id, &name))
}
