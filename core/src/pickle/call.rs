//! The payload of a function call (handle 101); see docs/protocol.md#call-payload.

use bytes::Bytes;
use serde::Serialize;

use super::encoder::Encoder;
use super::error::Error;

/// The parts of a function call.
#[derive(Clone, Copy, Debug)]
pub struct CallRequest<'a, A: ?Sized, K: ?Sized> {
    /// The chain that the call belongs to: after a failed call, further calls of the chain are not executed.
    pub chain_id: Option<&'a str>,
    /// The module to import, by its full name.
    pub module: &'a str,
    /// The class whose method is called; `None` for a function of the module.
    pub class: Option<&'a str>,
    /// The name of the function or method.
    pub function: &'a str,
    /// Positional arguments: a tuple, a sequence, or `()`.
    pub arguments: &'a A,
    /// Keyword arguments: a map, a struct, or `()`.
    pub keywords: Option<&'a K>,
}

/// Encodes the payload of `call`.
///
/// # Errors
/// [`Error::Type`] when the arguments are not a tuple or the keywords not a map; otherwise as
/// [`to_bytes`](super::to_bytes).
pub fn write_call<A, K>(call: &CallRequest<'_, A, K>) -> Result<Bytes, Error>
where
    A: Serialize + ?Sized,
    K: Serialize + ?Sized,
{
    let mut encoder = Encoder::with_capacity(160);
    encoder.tuple(|encoder| {
        optional(encoder, call.chain_id)?;
        encoder.text(call.module)?;
        optional(encoder, call.class)?;
        encoder.text(call.function)?;
        encoder.arguments(call.arguments)?;
        match call.keywords {
            Some(keywords) => encoder.keywords(keywords)?,
            // A plain dict saves the child a lookup of the global, and every peer accepts it.
            None => encoder.dict(|_| Ok(()))?,
        };
        Ok(())
    })?;
    Ok(encoder.finish())
}

fn optional(encoder: &mut Encoder, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) => encoder.text(text)?,
        None => encoder.none(),
    };
    Ok(())
}
