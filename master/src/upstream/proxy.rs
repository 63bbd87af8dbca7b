//! Upstream Mitogen's way of starting a context through another one, for contexts that run our runtime.
//!
//! A program that uses upstream Mitogen, such as a client of our listener, calls
//! `mitogen.parent._proxy_connect` in a context. Our runtime has no transports, so it forwards the request to
//! handle 124 of the master, as a pickled tuple: name or None, method, and upstream Mitogen's options. The new
//! context is always a child of the one that sent the request.

use std::io;
use std::sync::Arc;

use mitogen_core::connect::{
    ChildSettings, ConnectError, ConnectRequest, Connector, Registry, RequestError, Transport, WeakConnector,
};
use mitogen_core::dialogue::FailureKind;
use mitogen_core::error::with_causes;
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::pickle::{self, Value};
use mitogen_core::router::{Delivery, HandlerOptions, Router, WeakRouter};
use mitogen_core::wire::{Encoding, Message, WellKnownHandle};
use mitogen_python::Python;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use thiserror::Error;

/// No context was started. The text is shown to the user of upstream Mitogen, in a `StreamError`.
#[derive(Debug, Error)]
enum ProxyError {
    #[error("context {0} cannot start others: it is not connected, or not a context of this master")]
    UnknownContext(ContextId),
    #[error("unknown method `{0}`; known methods: {1}")]
    UnknownMethod(String, String),
    #[error("{method}: option `{key}`: {message}")]
    Option { method: String, key: String, message: String },
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// The reply that upstream Mitogen expects.
#[derive(Serialize)]
struct Answer {
    id: Option<u32>,
    name: Option<String>,
    msg: Option<String>,
}

/// Handles such requests for contexts that `connector` has started. New contexts get `settings`, except for
/// those that the request overrides.
pub(crate) fn listen(
    router: &Router,
    connector: &Connector,
    settings: &ChildSettings,
    registry: Arc<Registry>,
) {
    let (weak, connector, settings) = (router.downgrade(), connector.downgrade(), settings.clone());
    let well_known = Some(WellKnownHandle::ProxyConnect.handle());
    router.add_handler(well_known, HandlerOptions::default(), move |delivery| {
        let src = delivery.message.src_id.0;
        if let Err(error) = handle(&weak, &connector, &settings, &registry, &delivery) {
            tracing::warn!(src, %error, "invalid request for a new context");
        }
    });
}

fn handle(
    router: &WeakRouter,
    connector: &WeakConnector,
    settings: &ChildSettings,
    registry: &Registry,
    delivery: &Delivery,
) -> io::Result<()> {
    let message = &delivery.message;
    let Some(connector) = connector.upgrade().filter(|_| message.wants_reply()) else { return Ok(()) };
    let (name, method, options): (Option<String>, String, Value) =
        pickle::from_bytes(&message.data).map_err(io::Error::other)?;
    let options = options.as_dict().ok_or_else(|| io::Error::other("the options are not a dict"))?;
    let (to, handle) = (message.src_id, message.reply_to);
    let router = router.clone();
    let wanted = read(settings, registry, &method, options, connector.unidirectional());
    let started =
        wanted.and_then(|(transport, settings)| start(&connector, to, name, &*transport, &settings));
    match started {
        Ok((via, connecting)) => {
            let context = connecting.context().clone();
            connecting.on_done(move |outcome| {
                let answer = match outcome {
                    Ok(()) => {
                        // Upstream Mitogen adds the parent's name itself.
                        let name = context.name().strip_prefix(&format!("{via}.")).unwrap_or(context.name());
                        Answer { id: Some(context.id().0), name: Some(name.to_owned()), msg: None }
                    }
                    Err(error) => refusal(&reason(error)),
                };
                reply(&router, to, handle, &answer);
            });
        }
        Err(error) => reply(&router, to, handle, &refusal(&with_causes(&error).to_string())),
    }
    Ok(())
}

/// The error's text. If the program ended before the context was up, it begins as upstream Mitogen's does, with
/// which programs compare it, and has the program's last lines.
fn reason(error: &ConnectError) -> String {
    use FailureKind::{Eof, NoInterpreter, UnsupportedInterpreter};
    if !matches!(error.kind, Eof | NoInterpreter | UnsupportedInterpreter) {
        return error.to_string();
    }
    let lines: String = error.output.iter().map(|line| format!("{line}\n")).collect();
    format!("EOF on stream; last 100 lines received:\n{lines}{error}")
}

fn refusal(why: &str) -> Answer {
    Answer { id: None, name: None, msg: Some(why.to_owned()) }
}

fn reply(router: &WeakRouter, to: ContextId, handle: Handle, answer: &Answer) {
    let Some(router) = router.upgrade() else { return };
    match pickle::to_bytes(answer) {
        Ok(data) => {
            if let Err(error) = router.send(Message::new(to, handle, Encoding::Pickle, data)) {
                tracing::debug!(%error, "the context that requested a new one has gone");
            }
        }
        Err(error) => tracing::error!(%error, "cannot encode the reply to a request for a context"),
    }
}

/// Starts connecting the context. Also returns its parent's name.
fn start(
    connector: &Connector,
    via: ContextId,
    name: Option<String>,
    transport: &dyn Transport,
    settings: &ChildSettings,
) -> Result<(String, mitogen_core::connect::ConnectHandle), ProxyError> {
    let via = connector.context(via).ok_or(ProxyError::UnknownContext(via))?;
    let request = ConnectRequest { transport, name, via: Some(&via), settings };
    Ok((via.name().to_owned(), connector.connect(&request)?))
}

/// Translates upstream Mitogen's options: those of every method are settings here, the others have the same
/// names.
fn read(
    settings: &ChildSettings,
    registry: &Registry,
    method: &str,
    options: &[(Value, Value)],
    unidirectional: bool,
) -> Result<(Box<dyn Transport>, ChildSettings), ProxyError> {
    let Some(kind) = registry.get(method) else {
        let known: Vec<_> = registry.names().collect();
        return Err(ProxyError::UnknownMethod(method.to_owned(), known.join(", ")));
    };
    let mut settings = settings.clone();
    let mut own = Map::new();
    for (key, value) in options {
        let key = text(key).unwrap_or_default();
        let wrong = |message: &str| ProxyError::Option {
            method: method.to_owned(),
            key: key.clone(),
            message: message.to_owned(),
        };
        // Upstream Mitogen passes None for an option that is not set.
        if value.is_none() {
            continue;
        }
        let value =
            json(value).ok_or_else(|| wrong("must be a string, a number, a boolean or a list of these"))?;
        match (key.as_str(), value) {
            ("python_path", Json::String(path)) => {
                settings = settings.runtime(Python::with_interpreter([path]));
            }
            ("python_path", Json::Array(words)) => {
                let argv: Option<Vec<_>> = words.iter().map(Json::as_str).collect();
                let argv = argv.ok_or_else(|| wrong("must be a list of strings"))?;
                settings = settings.runtime(Python::with_interpreter(argv));
            }
            ("remote_name", Json::String(name)) => settings.remote_name = Some(name),
            ("debug", Json::Bool(debug)) => settings.debug = debug,
            // It describes the caller's router, and cannot change this one.
            ("unidirectional", Json::Bool(wanted)) if wanted == unidirectional => {}
            ("unidirectional", Json::Bool(true)) => return Err(wrong("this session is not unidirectional")),
            // The stricter setting is kept.
            ("unidirectional", Json::Bool(false)) => {}
            ("profiling", Json::Bool(false)) => {}
            ("profiling", _) => return Err(wrong("profiling is not supported")),
            ("python_path" | "remote_name" | "debug" | "unidirectional", _) => {
                return Err(wrong("has the wrong type"));
            }
            (name, _) if !kind.has_option(name) => {
                let known = kind.option_names().collect::<Vec<_>>().join(", ");
                return Err(wrong(&format!("unknown option; known options: {known}")));
            }
            (name, value) => drop(own.insert(name.to_owned(), value)),
        }
    }
    let transport = kind.create(Json::Object(own)).map_err(|error| match &error.key {
        Some(key) => {
            ProxyError::Option { method: method.to_owned(), key: key.clone(), message: error.message }
        }
        None => RequestError::from(error).into(),
    })?;
    Ok((transport, settings))
}

/// A string, which Python 2 sends as bytes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Secret(secret) => Some(secret.expose().to_owned()),
        other => other.as_str().map(str::to_owned),
    }
}

fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::List(items) | Value::Tuple(items) => {
            Json::Array(items.iter().map(json).collect::<Option<_>>()?)
        }
        other => Json::String(text(other)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, options: &[(&str, Value)]) -> Result<ChildSettings, String> {
        let options: Vec<_> = options.iter().map(|(key, value)| (Value::from(*key), value.clone())).collect();
        let registry = crate::transports::builtin();
        read(&ChildSettings::new(Python::new()), &registry, method, &options, false)
            .map(|(_, settings)| settings)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_that_ends_too_early_is_reported_as_upstream_reports_it() {
        use mitogen_core::dialogue::Stage;
        let of = |kind| {
            let mut error = ConnectError::new("local.2", Stage::Handshake, kind, "the program has ended");
            error.output = vec!["one".to_owned(), "two".to_owned()];
            (reason(&error), error.to_string())
        };
        let (eof, plain) = of(FailureKind::Eof);
        assert_eq!(eof, format!("EOF on stream; last 100 lines received:\none\ntwo\n{plain}"));
        let (other, plain) = of(FailureKind::PasswordIncorrect);
        assert_eq!(other, plain);
    }

    #[test]
    fn options_are_translated_or_refused_by_name() {
        let list = Value::List(vec![Value::from("/usr/bin/env"), Value::Bytes("python3".into())]);
        let usual = [("debug", Value::Bool(false)), ("profiling", Value::Bool(false))];
        let settings = of("local", &[&usual[..], &[("python_path", list)]].concat()).expect("all are known");
        let python = Python::with_interpreter(["/usr/bin/env", "python3"]);
        assert_eq!(format!("{:?}", settings.runtime), format!("{python:?}"));
        let ssh =
            [("hostname", Value::Bytes("web".into())), ("port", Value::Int(22)), ("username", Value::None)];
        of("ssh", &ssh).expect("Python 2 sends bytes, and None is nothing");
        for (method, key, value, words) in [
            ("ssh", "port", Value::from("x"), "option `port`: must be an integer"),
            ("sudo", "prot", Value::Int(1), "option `prot`: unknown option"),
            ("sudo", "profiling", Value::Bool(true), "option `profiling`"),
            ("sudo", "unidirectional", Value::Bool(true), "option `unidirectional`"),
            ("sudo", "python_path", Value::Int(1), "option `python_path`: has the wrong type"),
            ("sudo", "username", Value::Dict(vec![]), "option `username`: must be"),
            ("telnet", "container", Value::from("x"), "unknown method `telnet`; known methods: "),
        ] {
            let hostname = ("hostname", Value::from("web"));
            let options = if method == "ssh" { vec![hostname, (key, value)] } else { vec![(key, value)] };
            let error = of(method, &options).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
    }
}
