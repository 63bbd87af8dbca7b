//! Decoding: the functions that callers use, and the reader of messages with several pickles.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::de::NodeDeserializer;
use super::expand::{Budget, View};
use super::machine::Machine;
use super::{Error, Limits, Value};

/// Reads the pickles of one message in turn. They share a memo, as with stock peers: a later pickle may
/// refer to objects of an earlier one.
#[derive(Debug)]
pub struct Decoder<'de> {
    machine: Machine<'de>,
    budget: Budget,
    source: Option<&'de Bytes>,
}

impl<'de> Decoder<'de> {
    /// A decoder of `input` with the default limits.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn new(input: &'de [u8]) -> Result<Self, Error> {
        Self::with_limits(input, Limits::default())
    }

    /// A decoder of `input` with other limits.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn with_limits(input: &'de [u8], limits: Limits) -> Result<Self, Error> {
        Ok(Self { machine: Machine::new(input, &limits)?, budget: Budget::new(limits), source: None })
    }

    /// A decoder whose large byte strings share `input`'s memory.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn shared(input: &'de Bytes) -> Result<Self, Error> {
        Self::shared_with_limits(input, Limits::default())
    }

    /// [`Decoder::shared`] with other limits.
    ///
    /// # Errors
    /// [`Error::Limit`] when the input is 4 GiB or more.
    pub fn shared_with_limits(input: &'de Bytes, limits: Limits) -> Result<Self, Error> {
        let mut decoder = Self::with_limits(input, limits)?;
        decoder.source = Some(input);
        Ok(decoder)
    }

    /// Whether no pickle is left.
    pub fn at_end(&self) -> bool {
        self.machine.at_end()
    }

    /// The next pickle as any value; call errors are values here.
    ///
    /// # Errors
    /// [`Error::Empty`] when none is left, else whatever is wrong with it. After an error the decoder's
    /// position means nothing.
    pub fn value(&mut self) -> Result<Value, Error> {
        let node = self.run()?;
        self.view().value(node, 0)
    }

    /// The next pickle as a `T`, which may borrow text and bytes from the input.
    ///
    /// # Errors
    /// As [`Decoder::value`]; [`Error::Call`] when it holds a call error and `T` does not ask for one;
    /// [`Error::Type`] when it does not fit.
    pub fn read<T: Deserialize<'de>>(&mut self) -> Result<T, Error> {
        let node = self.run()?;
        T::deserialize(NodeDeserializer::new(self.view(), node, 0))
    }

    fn run(&mut self) -> Result<super::graph::Node, Error> {
        if self.at_end() { Err(Error::Empty) } else { self.machine.run() }
    }

    fn view(&self) -> View<'_, 'de> {
        View { graph: &self.machine.graph, budget: &self.budget, source: self.source }
    }
}

/// The first pickle of `input` as any value; what follows it is ignored, as stock does.
///
/// # Errors
/// [`Error`] says what is wrong with the bytes.
pub fn decode(input: &[u8]) -> Result<Value, Error> {
    Decoder::new(input)?.value()
}

/// [`decode`], with large byte strings sharing `input`'s memory.
///
/// # Errors
/// [`Error`] says what is wrong with the bytes.
pub fn decode_shared(input: &Bytes) -> Result<Value, Error> {
    Decoder::shared(input)?.value()
}

/// All pickles of `input`, none if it is empty; large byte strings share its memory.
///
/// # Errors
/// [`Error`] says what is wrong with the first bad pickle.
pub fn decode_all(input: &Bytes) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::shared(input)?;
    let mut values = Vec::new();
    while !decoder.at_end() {
        values.push(decoder.value()?);
    }
    Ok(values)
}

/// The first pickle of `input` as a `T`, which may borrow text and bytes from it.
///
/// # Errors
/// [`Error::Call`] when the peer sent a call error and `T` is not made for one; otherwise [`Error`] says
/// what is wrong with the bytes, or how they do not fit.
pub fn from_bytes<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T, Error> {
    Decoder::new(input)?.read()
}

/// The first pickle of `input` as a `T`. Large [`Value`](Value::Bytes), [`Binary`](super::Binary) and
/// [`Blob`](super::Blob) byte strings in it share `input`'s memory.
///
/// # Errors
/// As [`from_bytes`].
pub fn from_shared<T: DeserializeOwned>(input: &Bytes) -> Result<T, Error> {
    Decoder::shared(input)?.read()
}
