//! [`Decoder`], which reads messages with several pickles, and the functions for messages with one.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::de::NodeDeserializer;
use super::error::Error;
use super::expand::View;
use super::graph::Node;
use super::limits::{Budget, Limits};
use super::machine::Machine;
use super::value::Value;

/// Reads the pickles of one message in sequence. They share a memo, as in upstream Mitogen: a later pickle may
/// refer to objects of an earlier one.
#[derive(Debug)]
pub struct Decoder<'de> {
    machine: Machine<'de>,
    budget: Budget,
    source: Option<&'de Bytes>,
}

impl<'de> Decoder<'de> {
    /// Creates a decoder of `input` with the default limits.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn new(input: &'de [u8]) -> Result<Self, Error> {
        Self::with_limits(input, Limits::default())
    }

    /// Creates a decoder of `input` with the given limits.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn with_limits(input: &'de [u8], limits: Limits) -> Result<Self, Error> {
        Ok(Self { machine: Machine::new(input, &limits)?, budget: Budget::new(limits), source: None })
    }

    /// Creates a decoder whose large byte strings share `input`'s memory.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn shared(input: &'de Bytes) -> Result<Self, Error> {
        Self::shared_with_limits(input, Limits::default())
    }

    /// Like [`Decoder::shared`], with the given limits.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn shared_with_limits(input: &'de Bytes, limits: Limits) -> Result<Self, Error> {
        let mut decoder = Self::with_limits(input, limits)?;
        decoder.source = Some(input);
        Ok(decoder)
    }

    /// Whether all pickles were read.
    pub fn at_end(&self) -> bool {
        self.machine.at_end()
    }

    /// Reads the next pickle as a [`Value`]; a call error is returned as a value.
    ///
    /// # Errors
    /// [`Error::Empty`] when no pickle is left, otherwise the reason why it is rejected. After an error the
    /// decoder must not be used any more.
    pub fn value(&mut self) -> Result<Value, Error> {
        let node = self.run()?;
        self.view().value(node, 0)
    }

    /// Reads the next pickle as a `T`, which may borrow text and bytes from the input.
    ///
    /// # Errors
    /// As [`Decoder::value`]; [`Error::Call`] when the pickle is a call error and `T` does not accept one;
    /// [`Error::Type`] when it does not match `T`.
    pub fn read<T: Deserialize<'de>>(&mut self) -> Result<T, Error> {
        let node = self.run()?;
        T::deserialize(NodeDeserializer::new(self.view(), node, 0))
    }

    fn run(&mut self) -> Result<Node, Error> {
        if self.at_end() { Err(Error::Empty) } else { self.machine.run() }
    }

    fn view(&self) -> View<'_, 'de> {
        View { graph: &self.machine.graph, budget: &self.budget, source: self.source }
    }
}

/// Decodes the first pickle of `input` as a [`Value`]. Further pickles are ignored, as in upstream Mitogen.
///
/// # Errors
/// The reason why the pickle is rejected.
pub fn decode(input: &[u8]) -> Result<Value, Error> {
    Decoder::new(input)?.value()
}

/// Like [`decode`]; large byte strings share `input`'s memory.
///
/// # Errors
/// The reason why the pickle is rejected.
pub fn decode_shared(input: &Bytes) -> Result<Value, Error> {
    Decoder::shared(input)?.value()
}

/// Decodes all pickles of `input`; none if it is empty. Large byte strings share its memory.
///
/// # Errors
/// The reason why the first invalid pickle is rejected.
pub fn decode_all(input: &Bytes) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::shared(input)?;
    let mut values = Vec::new();
    while !decoder.at_end() {
        values.push(decoder.value()?);
    }
    Ok(values)
}

/// Decodes the first pickle of `input` as a `T`, which may borrow text and bytes from it.
///
/// # Errors
/// [`Error::Call`] when the peer sent a call error and `T` does not accept one; otherwise the reason why the
/// pickle is rejected or does not match `T`.
pub fn from_bytes<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T, Error> {
    Decoder::new(input)?.read()
}

/// Decodes the first pickle of `input` as a `T`. Large [`Value`](Value::Bytes), [`Binary`](super::Binary) and
/// [`Blob`](super::Blob) byte strings in it share `input`'s memory.
///
/// # Errors
/// As [`from_bytes`].
pub fn from_shared<T: DeserializeOwned>(input: &Bytes) -> Result<T, Error> {
    Decoder::shared(input)?.read()
}
