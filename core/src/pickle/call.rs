//! The payload of a function call (handle 101), written straight from its parts.

use bytes::Bytes;
use serde::Serialize;

use super::{Error, Writer};

/// The parts of a function call.
#[derive(Clone, Copy, Debug)]
pub struct CallRequest<'a, A: ?Sized, K: ?Sized> {
    /// The call chain that it belongs to: after a failure its further calls are not executed.
    pub chain_id: Option<&'a str>,
    /// The module to import.
    pub module: &'a str,
    /// The class whose method is called.
    pub class: Option<&'a str>,
    /// The function or method.
    pub function: &'a str,
    /// Positional arguments: a tuple, a sequence, or `()`.
    pub arguments: &'a A,
    /// Keyword arguments: a map, a struct, or `()`.
    pub keywords: Option<&'a K>,
}

/// The payload of `call`.
///
/// # Errors
/// [`Error::Type`] when the arguments are no tuple or the keywords no map; otherwise as
/// [`to_bytes`](super::to_bytes).
pub fn write_call<A, K>(call: &CallRequest<'_, A, K>) -> Result<Bytes, Error>
where
    A: Serialize + ?Sized,
    K: Serialize + ?Sized,
{
    let mut writer = Writer::with_capacity(160);
    writer.tuple(|writer| {
        optional(writer, call.chain_id)?;
        writer.text(call.module)?;
        optional(writer, call.class)?;
        writer.text(call.function)?;
        writer.arguments(call.arguments)?;
        match call.keywords {
            Some(keywords) => writer.keywords(keywords)?,
            // A plain dict spares the child a global look-up, and every peer takes it.
            None => writer.dict(|_| Ok(()))?,
        };
        Ok(())
    })?;
    Ok(writer.finish())
}

fn optional(writer: &mut Writer, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) => writer.text(text)?,
        None => writer.none(),
    };
    Ok(())
}
