//! Converts the graph to owned values.
//!
//! Both conversions of a graph, to a [`Value`] and to serde, go through a [`View`], which counts against the
//! limits. Nesting is the only recursion of this codec and is bounded by `Limits::depth`.

use std::borrow::Cow;

use bytes::Bytes;

use super::big::BigInt;
use super::error::Error;
use super::graph::{Graph, Members, Node, Slice, Span};
use super::limits::Budget;
use super::names::{CALL_ERROR_MAX, NAME_MAX};
use super::text::{SurrogateText, lossy, well_formed};
use super::value::Value;
use crate::ids::{ContextId, Handle};
use crate::secret::Secret;

/// Byte strings of at least this size, in bytes, share the message's memory. Copying a smaller one is as cheap,
/// and does not keep the whole message alive.
pub(super) const SHARE_MIN: usize = 1024;

/// Checked text.
pub(super) enum Text<'g, 'de> {
    Input(&'de str),
    Unescaped(&'g str),
    /// With lone surrogates; well-formed.
    Surrogates(&'g [u8]),
}

/// The bytes of a byte string.
pub(super) enum Raw<'g, 'de> {
    Input(&'de [u8]),
    Other(Cow<'g, [u8]>),
}

/// A graph with the context that conversions need.
#[derive(Clone, Copy)]
pub(super) struct View<'g, 'de> {
    pub(super) graph: &'g Graph<'de>,
    pub(super) budget: &'g Budget,
    /// The buffer of the input, if its memory can be shared.
    pub(super) source: Option<&'g Bytes>,
}

impl<'g, 'de> View<'g, 'de> {
    /// The value of `node`, which is at `depth`.
    pub(super) fn value(self, node: Node, depth: usize) -> Result<Value, Error> {
        self.budget.item(depth)?;
        Ok(match node {
            Node::None => Value::None,
            Node::Bool(it) => Value::Bool(it),
            Node::Int(it) => Value::Int(it),
            Node::Float(it) => Value::Float(it),
            Node::Text(span) => match self.text(span)? {
                Text::Input(text) | Text::Unescaped(text) => Value::Text(text.to_owned()),
                Text::Surrogates(bytes) => SurrogateText::new(bytes.to_vec())
                    .map_or_else(|_| Value::Text(lossy(bytes)), Value::Surrogates),
            },
            Node::Bytes(_) | Node::Latin1(_) => Value::Bytes(self.shared(node)?),
            Node::Long(span) => self.big(span)?.into(),
            Node::Tuple { at, len } => Value::Tuple(self.values(self.graph.tuple_members(at, len), depth)?),
            Node::List(first) => Value::List(self.values(self.graph.members(first), depth)?),
            Node::Dict(first) => Value::Dict(self.entries(first, depth)?),
            Node::Kwargs(first) => Value::Kwargs(self.entries(first, depth)?),
            Node::Blob(at) => Value::Blob(self.shared(self.graph.item(at))?),
            Node::Secret(span) => match self.text(span)? {
                Text::Input(text) | Text::Unescaped(text) => Value::Secret(Secret::new(text)),
                Text::Surrogates(_) => {
                    return Err(Error::Invalid("a secret contains lone surrogates".into()));
                }
            },
            Node::CallError(span) => Value::CallError(self.call_error(span)?),
            Node::Context(at) => {
                let (id, name) = self.context(at)?;
                Value::Context { id: ContextId(id), name: name.map(str::to_owned) }
            }
            Node::Sender { context, handle } => {
                Value::Sender { context: ContextId(context), handle: Handle(handle) }
            }
            Node::Global(_) => return Err(Error::Invalid("a function is not data".into())),
        })
    }

    fn values(self, members: Members<'g>, depth: usize) -> Result<Vec<Value>, Error> {
        self.budget.expect(members.len())?;
        let mut out = Vec::with_capacity(members.len());
        for node in members {
            out.push(self.value(node, depth + 1)?);
        }
        Ok(out)
    }

    fn entries(self, first: u32, depth: usize) -> Result<Vec<(Value, Value)>, Error> {
        let mut members = self.graph.members(first);
        self.budget.expect(members.len())?;
        let mut out = Vec::with_capacity(members.len() / 2);
        while let (Some(key), Some(value)) = (members.next(), members.next()) {
            out.push((self.value(key, depth + 1)?, self.value(value, depth + 1)?));
        }
        Ok(out)
    }

    pub(super) fn text(self, span: Span) -> Result<Text<'g, 'de>, Error> {
        self.budget.copy(span.len as usize)?;
        let slice = self.graph.slice(span);
        let checked = match slice {
            Slice::Input(bytes) => std::str::from_utf8(bytes).map(Text::Input),
            Slice::Unescaped(bytes) => std::str::from_utf8(bytes).map(Text::Unescaped),
        };
        match checked {
            Ok(text) => Ok(text),
            Err(_) if well_formed(slice.bytes()) => Ok(Text::Surrogates(slice.bytes())),
            Err(_) => Err(Error::Invalid("text is not UTF-8".into())),
        }
    }

    /// The bytes of a `Bytes` or `Latin1` node.
    pub(super) fn raw(self, node: Node) -> Result<Raw<'g, 'de>, Error> {
        let (slice, latin1) = match node {
            Node::Bytes(span) => (self.graph.slice(span), false),
            Node::Latin1(span) => {
                self.budget.copy(span.len as usize)?;
                let slice = self.graph.slice(span);
                (slice, !slice.bytes().is_ascii())
            }
            _ => return Err(Error::Invalid("not a byte string".into())),
        };
        Ok(match slice {
            _ if latin1 => Raw::Other(Cow::Owned(encode_latin1(slice.bytes())?)),
            Slice::Input(bytes) => Raw::Input(bytes),
            Slice::Unescaped(bytes) => Raw::Other(Cow::Borrowed(bytes)),
        })
    }

    /// The bytes of a `Bytes` or `Latin1` node, shared with the message or copied.
    fn shared(self, node: Node) -> Result<Bytes, Error> {
        match (self.raw(node)?, self.source) {
            (Raw::Input(bytes), Some(source)) if bytes.len() >= SHARE_MIN => Ok(source.slice_ref(bytes)),
            (Raw::Input(bytes), _) => {
                self.budget.copy(bytes.len())?;
                Ok(Bytes::copy_from_slice(bytes))
            }
            (Raw::Other(bytes), _) => {
                self.budget.copy(bytes.len())?;
                Ok(bytes.into_owned().into())
            }
        }
    }

    pub(super) fn big(self, span: Span) -> Result<BigInt, Error> {
        self.budget.copy(span.len as usize)?;
        Ok(BigInt::from_le_bytes(self.graph.slice(span).bytes()))
    }

    pub(super) fn call_error(self, span: Span) -> Result<String, Error> {
        let text = match self.text(span)? {
            Text::Input(text) | Text::Unescaped(text) => text.to_owned(),
            Text::Surrogates(bytes) => lossy(bytes),
        };
        check_length(&text, CALL_ERROR_MAX)?;
        Ok(text)
    }

    /// The id and name of a `Context` node.
    pub(super) fn context(self, at: u32) -> Result<(u32, Option<&'g str>), Error> {
        let invalid = || Error::Invalid("a context's name contains lone surrogates".into());
        let name = match self.graph.item(at + 1) {
            Node::Text(span) => match self.text(span)? {
                Text::Input(text) | Text::Unescaped(text) => Some(text),
                Text::Surrogates(_) => return Err(invalid()),
            },
            _ => None,
        };
        check_length(name.unwrap_or_default(), NAME_MAX)?;
        match self.graph.item(at) {
            Node::Int(id) => {
                let id =
                    u32::try_from(id).map_err(|_| Error::Invalid("a context's id is too large".into()))?;
                Ok((id, name))
            }
            _ => Err(Error::Invalid("a context's id is not a number".into())),
        }
    }
}

/// Fails with the text of upstream Mitogen's error.
fn check_length(text: &str, max: usize) -> Result<(), Error> {
    if text.len() <= max {
        return Ok(());
    }
    match text.chars().count() {
        count if count > max => Err(Error::Invalid(format!("Required length 0..{max}, got {count}"))),
        _ => Ok(()),
    }
}

/// The latin-1 bytes of UTF-8 `text`.
fn encode_latin1(mut text: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(text.len());
    loop {
        match text {
            [byte @ ..0x80, rest @ ..] => {
                out.push(*byte);
                text = rest;
            }
            [lead @ (0xc2 | 0xc3), trail @ 0x80..=0xbf, rest @ ..] => {
                out.push(lead << 6 | (trail & 0x3f));
                text = rest;
            }
            [] => return Ok(out),
            _ => {
                return Err(Error::Invalid(
                    "text of a byte string contains characters beyond latin-1".into(),
                ));
            }
        }
    }
}
