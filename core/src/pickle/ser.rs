//! The serde serializer over a [`Writer`].

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::opcode::*;
use super::special::{BIG, BLOB, CALL_ERROR, CALL_ERROR_MAX, CONTEXT, KWARGS, SECRET, SENDER, SURROGATES};
use super::{BigInt, Error, Writer};

/// What the data about to come is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing special.
    Plain,
    /// The positional arguments of a call.
    Arguments,
    /// The keyword arguments of a call.
    Keywords,
    /// A byte string that is an integer's two's complement form.
    Long,
    /// A byte string that is text with surrogates.
    Surrogates,
    /// A text that must not be longer than a call error's.
    CallError,
    /// A number that a Python 2 peer must get as `int`, or a tuple with such numbers.
    Id,
}

/// Serializes one value.
pub(super) struct Encoder<'w> {
    writer: &'w mut Writer,
    mode: Mode,
}

impl<'w> Encoder<'w> {
    pub(super) fn new(writer: &'w mut Writer, mode: Mode) -> Self {
        Self { writer, mode }
    }

    /// The writer, for data that is neither tuple nor dict.
    fn leaf(self) -> Result<&'w mut Writer, Error> {
        match self.mode {
            Mode::Arguments => Err(Error::custom("the arguments of a call must be a tuple")),
            Mode::Keywords => Err(Error::custom("keyword arguments must be a map or struct")),
            _ => Ok(self.writer),
        }
    }

    /// Calls `function`, a global, with what `content` writes.
    fn reduce<T: Serialize + ?Sized>(
        self,
        function: &[u8],
        tuple: bool,
        mode: Mode,
        content: &T,
    ) -> Result<(), Error> {
        let writer = self.leaf()?;
        writer.raw(function);
        content.serialize(Encoder { writer: &mut *writer, mode })?;
        if !tuple {
            writer.op(TUPLE1);
        }
        writer.op(REDUCE);
        Ok(())
    }

    fn begin_tuple(self, len: usize) -> Result<Tuple<'w>, Error> {
        if self.mode == Mode::Keywords {
            return Err(Error::custom("keyword arguments must be a map or struct"));
        }
        let mode = if self.mode == Mode::Id { Mode::Id } else { Mode::Plain };
        self.writer.open()?;
        if len > 3 {
            self.writer.op(MARK);
        }
        Ok(Tuple { writer: self.writer, mode, announced: len, count: 0, outer: false })
    }

    fn begin_list(self, len: Option<usize>) -> Result<Batch<'w>, Error> {
        if self.mode == Mode::Arguments {
            self.writer.open()?.op(MARK);
            return Ok(Batch { writer: self.writer, each: None, end: Some(TUPLE), outer: false });
        }
        self.leaf()?.open()?.op(EMPTY_LIST).batch(len, APPEND, APPENDS)
    }

    fn begin_dict(self, len: Option<usize>) -> Result<Batch<'w>, Error> {
        if self.mode == Mode::Arguments {
            return Err(Error::custom("the arguments of a call must be a tuple"));
        }
        self.writer.open()?.op(EMPTY_DICT).batch(len, SETITEM, SETITEMS)
    }

    /// The dict of one entry that an enum's variant with content is.
    fn begin_variant(self, variant: &'static str) -> Result<&'w mut Writer, Error> {
        let writer = self.leaf()?;
        writer.open()?.op(EMPTY_DICT).text(variant)?;
        Ok(writer)
    }
}

impl Writer {
    /// Members one by one if there will be at most one, else all at once. Both are right for any count,
    /// so that a wrong announcement does no harm.
    fn batch(&mut self, len: Option<usize>, each: u8, all: u8) -> Result<Batch<'_>, Error> {
        Ok(match len {
            Some(0 | 1) => Batch { writer: self, each: Some(each), end: None, outer: false },
            _ => {
                self.op(MARK);
                Batch { writer: self, each: None, end: Some(all), outer: false }
            }
        })
    }
}

impl<'w> Serializer for Encoder<'w> {
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
            self.writer.plain_int(it);
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
        let it = if self.mode == Mode::CallError { cut(it) } else { it };
        self.leaf()?.text(it)?;
        Ok(())
    }

    fn serialize_bytes(self, it: &[u8]) -> Result<(), Error> {
        match self.mode {
            Mode::Long => self.writer.long(it)?,
            Mode::Surrogates => self.writer.text_bytes(it)?,
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
        self.writer.op(match self.mode {
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
            BIG => it.serialize(Encoder { writer: self.leaf()?, mode: Mode::Long }),
            SURROGATES => it.serialize(Encoder { writer: self.leaf()?, mode: Mode::Surrogates }),
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
        let writer = self.begin_variant(variant)?;
        writer.value(it)?.close().op(SETITEM);
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
        let writer = self.begin_variant(variant)?;
        let tuple = Encoder { writer, mode: Mode::Plain }.begin_tuple(len)?;
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
        let writer = self.begin_variant(variant)?;
        let batch = Encoder { writer, mode: Mode::Plain }.begin_dict(Some(len))?;
        Ok(Batch { outer: true, ..batch })
    }
}

/// The beginning of `text` that stock peers accept as a call error.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(CALL_ERROR_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// A tuple being written. Short ones have opcodes of their own, which take no mark.
pub(super) struct Tuple<'w> {
    writer: &'w mut Writer,
    mode: Mode,
    announced: usize,
    count: usize,
    /// Whether a variant's dict is around it.
    outer: bool,
}

impl Tuple<'_> {
    fn member<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.count += 1;
        it.serialize(Encoder { writer: &mut *self.writer, mode: self.mode })
    }

    fn finish(self) -> Result<(), Error> {
        if self.count != self.announced {
            return Err(Error::custom(format_args!(
                "a tuple of {} members was announced, {} came",
                self.announced, self.count
            )));
        }
        self.writer.close().op(match self.count {
            0 => EMPTY_TUPLE,
            1 => TUPLE1,
            2 => TUPLE2,
            3 => TUPLE3,
            _ => TUPLE,
        });
        if self.outer {
            self.writer.close().op(SETITEM);
        }
        Ok(())
    }
}

/// A list or dict being written (or a sequence that becomes a call's arguments).
pub(super) struct Batch<'w> {
    writer: &'w mut Writer,
    /// The opcode that adds each member.
    each: Option<u8>,
    /// The opcode that adds all members since the mark.
    end: Option<u8>,
    /// Whether a variant's dict is around it.
    outer: bool,
}

impl Batch<'_> {
    fn added(&mut self) {
        if let Some(opcode) = self.each {
            self.writer.op(opcode);
        }
    }

    fn finish(self) {
        self.writer.close();
        if let Some(opcode) = self.end {
            self.writer.op(opcode);
        }
        if self.outer {
            self.writer.close().op(SETITEM);
        }
    }
}

impl SerializeSeq for Batch<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.writer.value(it)?;
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
        self.writer.value(it).map(drop)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<(), Error> {
        self.writer.value(it)?;
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
                self.writer.text(key)?.value(it)?;
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
