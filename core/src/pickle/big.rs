//! [`BigInt`]: integers beyond 64 bits in their wire form. Use another crate for arithmetic.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use super::error::Error;
use super::names::{BIG, ByteSlice};

/// An integer of any size, as its shortest little-endian two's complement form.
///
/// Invariant: no byte is redundant; zero has no bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BigInt(Vec<u8>);

/// The most decimal digits that are parsed, because the time is quadratic. Peers do not write large integers
/// as decimal text in protocol 2.
const DIGITS_MAX: usize = 10_000;

/// Numbers of up to this many bytes are printed in decimal, larger ones in hexadecimal, because the time of
/// the decimal conversion is quadratic.
const DECIMAL_BYTES_MAX: usize = 8192;

impl BigInt {
    /// The number whose little-endian two's complement form is `bytes`.
    pub fn from_le_bytes(bytes: &[u8]) -> Self {
        Self(trim(bytes).to_vec())
    }

    /// The shortest little-endian two's complement form, as on the wire.
    pub fn as_le_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.last().is_some_and(|b| b & 0x80 != 0)
    }

    /// The absolute value, little-endian, without leading zeros.
    pub fn magnitude(&self) -> Vec<u8> {
        let mut out = self.0.clone();
        if self.is_negative() {
            negate(&mut out);
        }
        while out.last() == Some(&0) {
            out.pop();
        }
        out
    }

    /// The number, if it fits in 64 bits.
    pub fn to_i64(&self) -> Option<i64> {
        small(&self.0)
    }

    /// The number, if it fits in 128 bits.
    pub fn to_i128(&self) -> Option<i128> {
        if self.0.len() > 16 {
            return None;
        }
        let mut wide = [if self.is_negative() { 0xff } else { 0 }; 16];
        wide[..self.0.len()].copy_from_slice(&self.0);
        Some(i128::from_le_bytes(wide))
    }

    /// The number, if it is not negative and fits in 128 bits.
    pub fn to_u128(&self) -> Option<u128> {
        match (self.0.len(), self.0.last()) {
            (17, Some(0)) => {
                let mut wide = [0; 16];
                wide.copy_from_slice(&self.0[..16]);
                Some(u128::from_le_bytes(wide))
            }
            _ => self.to_i128().and_then(|n| n.try_into().ok()),
        }
    }

    /// Parses decimal text with an optional sign.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text contains anything but digits, [`Error::Limit`] for more than 10,000
    /// digits.
    pub fn from_decimal(text: &str) -> Result<Self, Error> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Error::Invalid("not a decimal integer".into()));
        }
        if digits.len() > DIGITS_MAX {
            return Err(Error::Limit { what: "decimal digits", limit: DIGITS_MAX });
        }
        let mut limbs: Vec<u32> = Vec::with_capacity(digits.len() / 9 + 1);
        for group in digits.chunks(9) {
            let mut carry = group.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'));
            let scale = group.iter().fold(1u64, |n, _| n * 10);
            for limb in &mut limbs {
                let wide = u64::from(*limb) * scale + carry;
                *limb = wide as u32;
                carry = wide >> 32;
            }
            if carry != 0 {
                limbs.push(carry as u32);
            }
        }
        let mut bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        bytes.push(0);
        if negative {
            negate(&mut bytes);
        }
        Ok(Self::from_le_bytes(&bytes))
    }
}

/// `bytes` without redundant sign bytes.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    loop {
        match bytes {
            [0] => return &[],
            [rest @ .., 0] if rest.last().is_some_and(|b| b & 0x80 == 0) => bytes = rest,
            [rest @ .., 0xff] if rest.last().is_some_and(|b| b & 0x80 != 0) => bytes = rest,
            _ => return bytes,
        }
    }
}

/// The number with the little-endian two's complement form `bytes`, if it fits in 64 bits.
pub(super) fn small(bytes: &[u8]) -> Option<i64> {
    let bytes = trim(bytes);
    if bytes.len() > 8 {
        return None;
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

/// Two's complement negation in place; the caller provides a byte for the sign.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes {
        let (flipped, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = flipped;
        carry = overflow;
    }
}

impl From<i64> for BigInt {
    fn from(n: i64) -> Self {
        Self::from_le_bytes(&n.to_le_bytes())
    }
}

impl From<i128> for BigInt {
    fn from(n: i128) -> Self {
        Self::from_le_bytes(&n.to_le_bytes())
    }
}

impl From<u128> for BigInt {
    fn from(n: u128) -> Self {
        let mut wide = [0; 17];
        wide[..16].copy_from_slice(&n.to_le_bytes());
        Self::from_le_bytes(&wide)
    }
}

impl fmt::Display for BigInt {
    /// Decimal; numbers of more than 65,536 bits are printed in hexadecimal with `0x`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.magnitude();
        let mut text = String::new();
        if magnitude.len() > DECIMAL_BYTES_MAX {
            for byte in magnitude.iter().rev() {
                write!(text, "{byte:02x}")?;
            }
            let sign = if self.is_negative() { "-" } else { "" };
            return write!(f, "{sign}0x{}", text.trim_start_matches('0'));
        }
        let mut limbs: Vec<u32> = magnitude
            .chunks(4)
            .map(|chunk| chunk.iter().rev().fold(0, |n, byte| (n << 8) | u32::from(*byte)))
            .collect();
        let mut groups = Vec::new();
        while !limbs.is_empty() {
            let mut rest = 0;
            for limb in limbs.iter_mut().rev() {
                let wide = (rest << 32) | u64::from(*limb);
                *limb = (wide / 1_000_000_000) as u32;
                rest = wide % 1_000_000_000;
            }
            groups.push(rest);
            while limbs.last() == Some(&0) {
                limbs.pop();
            }
        }
        text.push_str(&groups.pop().unwrap_or(0).to_string());
        for group in groups.iter().rev() {
            write!(text, "{group:09}")?;
        }
        f.pad_integral(!self.is_negative(), "", &text)
    }
}

impl fmt::Debug for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for BigInt {
    /// In human-readable formats: a number if it fits in 128 bits, otherwise decimal text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            serializer.serialize_newtype_struct(BIG, &ByteSlice(&self.0))
        } else if let Some(n) = self.to_i128() {
            serializer.serialize_i128(n)
        } else {
            serializer.collect_str(self)
        }
    }
}
