//! The allowed globals (docs/protocol.md#allowed-globals), and the results of calling them.

use super::error::Error;
use super::graph::{Global, Graph, Node, Span};

/// Looks up a global by its names on the wire, of Python 2 or 3.
pub(super) fn lookup(module: &[u8], name: &[u8]) -> Result<Global, Error> {
    Ok(match (module, name) {
        (b"mitogen.core", b"Blob") => Global::Blob,
        (b"mitogen.core", b"Secret") => Global::Secret,
        (b"mitogen.core", b"Kwargs") => Global::Kwargs,
        (b"mitogen.core", b"_unpickle_call_error" | b"CallError") => Global::CallError,
        (b"mitogen.core", b"_unpickle_context") => Global::Context,
        (b"mitogen.core", b"_unpickle_sender") => Global::Sender,
        (b"_codecs", b"encode") => Global::Encode,
        (b"__builtin__" | b"builtins", b"bytes") => Global::Bytes,
        (b"__builtin__" | b"builtins", b"bytearray") => Global::ByteArray,
        _ => return Err(Error::Global { module: printable(module), name: printable(name) }),
    })
}

/// A peer's text for an error message: truncated, on one line.
fn printable(word: &[u8]) -> String {
    let short = &word[..word.len().min(100)];
    let dots = if short.len() < word.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_ascii())
}

/// Calls `function`. Checks types and ranges, but defers everything that takes time to the expansion, because a
/// peer can refer to one long text many times.
pub(super) fn call(function: Global, graph: &Graph<'_>, arguments: Node) -> Result<Node, &'static str> {
    let Node::Tuple { at, len } = arguments else {
        return Err("the arguments of a call are not a tuple");
    };
    let argument = |n: u32| if n < len { Some(graph.item(at + n)) } else { None };
    let one = if len == 1 { argument(0) } else { None };
    match function {
        Global::Blob => match one {
            Some(Node::Bytes(_) | Node::Latin1(_)) => Ok(Node::Blob(at)),
            // A peer's pickler produces neither a Blob nor text as the argument.
            _ => Err("a Blob takes one byte string"),
        },
        Global::Secret => match one {
            Some(Node::Text(text)) => Ok(Node::Secret(text)),
            // The text type of a Python 2 program may be its byte string.
            Some(Node::Bytes(text)) => Ok(Node::Secret(text)),
            _ => Err("a Secret takes one text"),
        },
        Global::Kwargs => match one {
            Some(Node::Dict(first)) => Ok(Node::Kwargs(first)),
            _ => Err("Kwargs take one dict"),
        },
        Global::CallError => match one {
            Some(Node::Text(text)) => Ok(Node::CallError(text)),
            _ => Err("a CallError takes one text"),
        },
        Global::Context => match (len, argument(0), argument(1)) {
            (2, Some(Node::Int(id)), Some(Node::None | Node::Text(_))) if u32::try_from(id).is_ok() => {
                Ok(Node::Context(at))
            }
            _ => Err("a Context takes an id of 32 bits and a name"),
        },
        Global::Sender => match (len, argument(0), argument(1)) {
            (2, Some(Node::Int(context)), Some(Node::Int(handle))) if handle != 0 => {
                match (u32::try_from(context), u32::try_from(handle)) {
                    (Ok(context), Ok(handle)) => Ok(Node::Sender { context, handle }),
                    _ => Err("a Sender takes two numbers of 32 bits"),
                }
            }
            _ => Err("a Sender takes two numbers of 32 bits"),
        },
        // Only latin-1 is ever sent, under several names; like upstream Mitogen, the name is ignored.
        Global::Encode => match (len, argument(0), argument(1)) {
            (2, Some(Node::Text(text)), Some(Node::Text(_) | Node::Bytes(_))) => Ok(Node::Latin1(text)),
            _ => Err("encode takes a text and an encoding's name"),
        },
        Global::Bytes | Global::ByteArray => match (len, argument(0)) {
            (0, _) => Ok(Node::Bytes(Span { at: 0, len: 0 })),
            (1, Some(bytes @ (Node::Bytes(_) | Node::Latin1(_)))) => Ok(bytes),
            (2, Some(Node::Text(text))) => Ok(Node::Latin1(text)),
            _ => Err("bytes take a byte string or a latin-1 text"),
        },
    }
}
