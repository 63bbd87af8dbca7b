//! Stock's way of starting a context from another (protocol 4.8): a call.

use mitogen_core::call::{CallError, Context};
use mitogen_core::ids::ContextId;
use mitogen_core::pickle::Value;
use mitogen_core::router::SendError;
use serde::Deserialize;
use thiserror::Error;

/// A context that stock's own method did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StockConnectError {
    /// The method failed there.
    #[error("{via}: {message}")]
    Failed {
        /// Where it was tried.
        via: String,
        /// What stock says of it.
        message: String,
    },
    /// The call failed: the context is gone, has no such method, or does not run stock's core.
    #[error("cannot start a context from {via}")]
    Call {
        /// Where it was tried.
        via: String,
        /// How.
        #[source]
        source: CallError,
    },
    /// The new context was lost before it could be used.
    #[error(transparent)]
    Lost(#[from] SendError),
}

/// Stock's answer.
#[derive(Deserialize)]
struct Connected {
    id: Option<u32>,
    name: Option<String>,
    msg: Option<String>,
}

/// Starts a context from `via`, which runs stock's core, by stock's own `method` (`local`, `sudo`,
/// `ssh` ...) with that method's own options. Waits until it is up.
///
/// Stock runs the method on the main thread of `via`, behind the calls that it has been sent.
///
/// # Errors
/// See [`StockConnectError`].
pub fn connect(via: &Context, method: &str, options: &[(&str, Value)]) -> Result<Context, StockConnectError> {
    let call_error = |source| StockConnectError::Call { via: via.name().to_owned(), source };
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
        let message = answer.msg.unwrap_or_else(|| "it failed and gave no reason".to_owned());
        return Err(StockConnectError::Failed { via: via.name().to_owned(), message });
    };
    let id = ContextId(id);
    let hop = router.next_hop(via.id());
    if hop.is_none() || router.next_hop(id) != hop || id == via.id() {
        let message = format!("it says that it has started context {id}, which is not behind it");
        return Err(StockConnectError::Failed { via: via.name().to_owned(), message });
    }
    let name = format!("{}.{}", via.name(), name.as_deref().unwrap_or(method));
    // Its announcement came ahead of the answer and did not say whose child it is.
    router.links().begin_route(id, via.id(), &name)?;
    Ok(Context::new(router, id, &name))
}
