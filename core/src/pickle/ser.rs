//! The serde serializer over an [`Encoder`], and the functions that use it.

use bytes::Bytes;
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::big::BigInt;
use super::encoder::Encoder;
use super::error::Error;
use super::names::{BIG, BLOB, CALL_ERROR, CALL_ERROR_MAX, CONTEXT, KWARGS, SECRET, SENDER, SURROGATES};
use super::opcode::*;

/// Encodes `value` as one pickle.
///
/// ```
/// use mitogen_core::pickle::{from_bytes, to_bytes};
///
/// let bytes = to_bytes(&("web1", 22))?;
/// let (host, port): (String, u16) = from_bytes(&bytes)?;
/// assert_eq!((host.as_str(), port), ("web1", 22));
/// # Ok::<(), mitogen_core::pickle::Error>(())
/// ```
///
/// # Errors
/// [`Error::Limit`] for sizes that protocol 2 cannot express and when containers are nested too deeply,
/// [`Error::Type`] for types that cannot be serialized.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    to_vec(value).map(Bytes::from)
}

/// Encodes `value` as one pickle, like [`to_bytes`], into a vector.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new();
    encoder.value(value)?;
    Ok(encoder.into_vec())
}

impl Encoder {
    /// Writes any serializable value.
    ///
    /// # Errors
    /// As [`to_bytes`].
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, Error> {
        value.serialize(ValueSerializer::new(self, Mode::Plain))?;
        Ok(self)
    }

    /// Writes `value` as the positional arguments of a call: a tuple, a sequence (which becomes a tuple), or
    /// `()` for none.
    ///
    /// # Errors
    /// As [`to_bytes`]; [`Error::Type`] for other types.
    pub fn arguments<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, Error> {
        value.serialize(ValueSerializer::new(self, Mode::Arguments))?;
        Ok(self)
    }

    /// Writes `value` as the keyword arguments of a call: a map, a struct, or `()` for none.
    ///
    /// # Errors
    /// As [`to_bytes`]; [`Error::Type`] for other types.
    pub fn keywords<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<&mut Self, Error> {
        self.raw(b"cmitogen.core\nKwargs\n");
        value.serialize(ValueSerializer::new(self, Mode::Keywords))?;
        self.raw(&[TUPLE1, REDUCE]);
        Ok(self)
    }
}

/// The form in which the next value must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The value's own form.
    Plain,
    /// The positional arguments of a call.
    Arguments,
    /// The keyword arguments of a call.
    Keywords,
    /// A byte string that is the two's complement form of an integer.
    Long,
    /// A byte string that is text with surrogates.
    Surrogates,
    /// A text that is truncated to the length of a call error.
    CallError,
    /// A number that a Python 2 peer must decode as `int`, or a tuple with such numbers.
    Id,
}

/// Serializes one value.
struct ValueSerializer<'w> {
    encoder: &'w mut Encoder,
    mode: Mode,
}

impl<'w> ValueSerializer<'w> {
    fn new(encoder: &'w mut Encoder, mode: Mode) -> Self {
        Self { encoder, mode }
    }

    /// The encoder, for values that are neither tuples nor dicts.
    fn leaf(self) -> Result<&'w mut Encoder, Error> {
        match self.mode {
            Mode::Arguments => Err(Error::custom("the arguments of a call must be a tuple")),
            Mode::Keywords => Err(Error::custom("keyword arguments must be a map or struct")),
            _ => Ok(self.encoder),
        }
    }

    /// Writes a call of the global `function` with the argument `content`.
    fn reduce<T: Serialize + ?Sized>(
        self,
        function: &[u8],
        tuple: bool,
        mode: Mode,
        content: &T,
    ) -> Result<(), Error> {
        let encoder = self.leaf()?;
        encoder.raw(function);
        content.serialize(ValueSerializer { encoder: &mut *encoder, mode })?;
        if !tuple {
            encoder.op(TUPLE1);
        }
        encoder.op(REDUCE);
        Ok(())
    }

    fn begin_tuple(self, len: usize) -> Result<Tuple<'w>, Error> {
        if self.mode == Mode::Keywords {
            return Err(Error::custom("keyword arguments must be a map or struct"));
        }
        let mode = if self.mode == Mode::Id { Mode::Id } else { Mode::Plain };
        self.encoder.open()?;
        if len > 3 {
            self.encoder.op(MARK);
        }
        Ok(Tuple { encoder: self.encoder, mode, announced: len, count: 0, outer: false })
    }

    fn begin_list(self, len: Option<usize>) -> Result<Batch<'w>, Error> {
        if self.mode == Mode::Arguments {
            self.encoder.open()?.op(MARK);
            return Ok(Batch { encoder: self.encoder, each: None, end: Some(TUPLE), outer: false });
        }
        self.leaf()?.open()?.op(EMPTY_LIST).batch(len, APPEND, APPENDS)
    }

    fn begin_dict(self, len: Option<usize>) -> Result<Batch<'w>, Error> {
        if self.mode == Mode::Arguments {
            return Err(Error::custom("the arguments of a call must be a tuple"));
        }
        self.encoder.open()?.op(EMPTY_DICT).batch(len, SETITEM, SETITEMS)
    }

    /// Starts the dict with one entry that represents an enum variant with content.
    fn begin_variant(self, variant: &'static str) -> Result<&'w mut Encoder, Error> {
        let encoder = self.leaf()?;
        encoder.open()?.op(EMPTY_DICT).text(variant)?;
        Ok(encoder)
    }
}

impl Encoder {
    /// Adds members one by one if at most one is announced, otherwise all at once. Both forms are valid for
    /// any count, so that a wrong `len` is harmless.
    fn batch(&mut self, len: Option<usize>, each: u8, all: u8) -> Result<Batch<'_>, Error> {
        Ok(match len {
            Some(0 | 1) => Batch { encoder: self, each: Some(each), end: None, outer: false },
            _ => {
                self.op(MARK);
                Batch { encoder: self, each: None, end: Some(all), outer: false }
            }
        })
    }
}

impl<'w> Serializer for ValueSerializer<'w> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Batch<'w>;
    type SerializeTuple = Tuple<'w>;
    type SerializeTupleStruct = Tuple<'w>;
    type SerializeTupleVariant = Tuple<'w>;
    type SerializeMap = Batch<'w>;
    type SerializeStruct = Batch<'w>;
    type SerializeStructVariant = Batch<'w>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, it: bool) -> Result<(), Error> {
        self.leaf()?.bool(it);
        Ok(())
    }

    fn serialize_i8(self, it: i8) -> Result<(), Error> {
        self.serialize_i64(it.into())
    }

    fn serialize_i16(self, it: i16) -> Result<(), Error> {
        self.serialize_i64(it.into())
    }

    fn serialize_i32(self, it: i32) -> Result<(), Error> {
        self.serialize_i64(it.into())
    }

    fn serialize_i64(self, it: i64) -> Result<(), Error> {
        if self.mode == Mode::Id {
            self.encoder.plain_int(it);
        } else {
            self.leaf()?.int(it);
        }
        Ok(())
    }

    fn serialize_u8(self, it: u8) -> Result<(), Error> {
        self.serialize_i64(it.into())
    }

    fn serialize_u16(self, it: u16) -> Result<(), Error> {
        self.serialize_i64(it.into())
    }

    fn serialize_u32(self, it: u32) -> Result<(), Error> {
        self.serialize_i64(it.into())
    }

    fn serialize_u64(self, it: u64) -> Result<(), Error> {
        match i64::try_from(it) {
            Ok(small) => self.serialize_i64(small),
            Err(_) => self.serialize_u128(it.into()),
        }
    }

    fn serialize_i128(self, it: i128) -> Result<(), Error> {
        self.leaf()?.long(BigInt::from(it).as_le_bytes())?;
        Ok(())
    }

    fn serialize_u128(self, it: u128) -> Result<(), Error> {
        self.leaf()?.long(BigInt::from(it).as_le_bytes())?;
        Ok(())
    }

    fn serialize_f32(self, it: f32) -> Result<(), Error> {
        self.serialize_f64(it.into())
    }

    fn serialize_f64(self, it: f64) -> Result<(), Error> {
        self.leaf()?.float(it);
        Ok(())
    }

    fn serialize_char(self, it: char) -> Result<(), Error> {
        self.serialize_str(it.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, it: &str) -> Result<(), Error> {
        let it = if self.mode == Mode::CallError { truncate(it) } else { it };
        self.leaf()?.text(it)?;
        Ok(())
    }

    fn serialize_bytes(self, it: &[u8]) -> Result<(), Error> {
        match self.mode {
            Mode::Long => self.encoder.long(it)?,
            Mode::Surrogates => self.encoder.text_bytes(it)?,
            _ => self.leaf()?.bytes(it)?,
        };
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, it: &T) -> Result<(), Error> {
        it.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.encoder.op(match self.mode {
            Mode::Arguments => EMPTY_TUPLE,
            Mode::Keywords => EMPTY_DICT,
            _ => NONE,
        });
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        it: &T,
    ) -> Result<(), Error> {
        match name {
            BIG => it.serialize(ValueSerializer { encoder: self.leaf()?, mode: Mode::Long }),
            SURROGATES => it.serialize(ValueSerializer { encoder: self.leaf()?, mode: Mode::Surrogates }),
            BLOB => self.reduce(b"cmitogen.core\nBlob\n", false, Mode::Plain, it),
            SECRET => self.reduce(b"cmitogen.core\nSecret\n", false, Mode::Plain, it),
            KWARGS if self.mode == Mode::Keywords => it.serialize(self),
            KWARGS => self.leaf()?.keywords(it).map(drop),
            CALL_ERROR => self.reduce(b"cmitogen.core\n_unpickle_call_error\n", false, Mode::CallError, it),
            CONTEXT => self.reduce(b"cmitogen.core\n_unpickle_context\n", true, Mode::Id, it),
            SENDER => self.reduce(b"cmitogen.core\n_unpickle_sender\n", true, Mode::Id, it),
            _ => it.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        it: &T,
    ) -> Result<(), Error> {
        let encoder = self.begin_variant(variant)?;
        encoder.value(it)?.close().op(SETITEM);
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Batch<'w>, Error> {
        self.begin_list(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Tuple<'w>, Error> {
        self.begin_tuple(len)
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Tuple<'w>, Error> {
        self.begin_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Tuple<'w>, Error> {
        let encoder = self.begin_variant(variant)?;
        let tuple = ValueSerializer { encoder, mode: Mode::Plain }.begin_tuple(len)?;
        Ok(Tuple { outer: true, ..tuple })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Batch<'w>, Error> {
        self.begin_dict(len)
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Batch<'w>, Error> {
        self.begin_dict(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Batch<'w>, Error> {
        let encoder = self.begin_variant(variant)?;
        let batch = ValueSerializer { encoder, mode: Mode::Plain }.begin_dict(Some(len))?;
        Ok(Batch { outer: true, ..batch })
    }
}

/// The longest prefix of `text` that upstream peers accept as a call error.
fn truncate(text: &str) -> &str {
    match text.char_indices().nth(CALL_ERROR_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// A tuple that is being written. Short tuples have their own opcodes, which need no mark.
pub(super) struct Tuple<'w> {
    encoder: &'w mut Encoder,
    mode: Mode,
    announced: usize,
    count: usize,
    /// Whether it is the content of an enum variant's dict.
    outer: bool,
}

impl Tuple<'_> {
    fn member<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.count += 1;
        it.serialize(ValueSerializer { encoder: &mut *self.encoder, mode: self.mode })
    }

    fn finish(self) -> Result<(), Error> {
        if self.count != self.announced {
            return Err(Error::custom(format_args!(
                "expected a tuple of {} members, got {}",
                self.announced, self.count
            )));
        }
        self.encoder.close().op(match self.count {
            0 => EMPTY_TUPLE,
            1 => TUPLE1,
            2 => TUPLE2,
            3 => TUPLE3,
            _ => TUPLE,
        });
        if self.outer {
            self.encoder.close().op(SETITEM);
        }
        Ok(())
    }
}

/// A list or dict that is being written, or a sequence that becomes the arguments of a call.
pub(super) struct Batch<'w> {
    encoder: &'w mut Encoder,
    /// The opcode that adds each member.
    each: Option<u8>,
    /// The opcode that adds all members since the mark.
    end: Option<u8>,
    /// Whether it is the content of an enum variant's dict.
    outer: bool,
}

impl Batch<'_> {
    fn added(&mut self) {
        if let Some(opcode) = self.each {
            self.encoder.op(opcode);
        }
    }

    fn finish(self) {
        self.encoder.close();
        if let Some(opcode) = self.end {
            self.encoder.op(opcode);
        }
        if self.outer {
            self.encoder.close().op(SETITEM);
        }
    }
}

impl SerializeSeq for Batch<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.encoder.value(it)?;
        self.added();
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl SerializeMap for Batch<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.encoder.value(it).map(drop)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.encoder.value(it)?;
        self.added();
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

macro_rules! structs {
    ($($name:ident),*) => {$(
        impl $name for Batch<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, it: &T) -> Result<(), Error> {
                self.encoder.text(key)?.value(it)?;
                self.added();
                Ok(())
            }

            fn end(self) -> Result<(), Error> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

macro_rules! tuples {
    ($($name:ident :: $method:ident),*) => {$(
        impl $name for Tuple<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
                self.member(it)
            }

            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        }
    )*};
}

tuples!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);
