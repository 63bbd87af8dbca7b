//! The text formats of protocol 0: Python's raw-unicode-escape and quoted string literals.

/// Decodes the raw-unicode-escape `line` and appends it to `out` as UTF-8 extended by surrogates.
///
/// Bytes are latin-1 characters; `\uXXXX` and `\UXXXXXXXX` are escapes only after an even number of
/// backslashes. Returns `None` if an escape is malformed.
pub(super) fn raw_unicode(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = line;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.extend_from_slice(b"\\\\");
                tail
            }
            (b'\\', [b'u', tail @ ..]) => escape(tail, 4, out)?,
            (b'\\', [b'U', tail @ ..]) => escape(tail, 8, out)?,
            (byte, tail) => {
                push_code_point(u32::from(*byte), out)?;
                tail
            }
        };
    }
    Some(())
}

fn escape<'a>(tail: &'a [u8], digits: usize, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (hex, rest) = tail.split_at_checked(digits)?;
    push_code_point(number(hex, 16)?, out)?;
    Some(rest)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0u32, |n, d| n.checked_mul(radix)?.checked_add(char::from(*d).to_digit(radix)?))
}

/// Appends one code point, which may be a surrogate. Returns `None` beyond U+10FFFF.
fn push_code_point(code: u32, out: &mut Vec<u8>) -> Option<()> {
    match char::from_u32(code) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None if code <= 0xffff => {
            out.extend_from_slice(&[0xed, 0x80 | (code >> 6 & 0x3f) as u8, 0x80 | (code & 0x3f) as u8]);
        }
        None => return None,
    }
    Some(())
}

/// Decodes the quoted Python 2 string literal `line` and appends its bytes to `out`. Returns `None` if it is not a
/// literal.
pub(super) fn quoted(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = match line.trim_ascii() {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return None,
    };
    while let [first, tail @ ..] = rest {
        if *first != b'\\' {
            out.push(*first);
            rest = tail;
            continue;
        }
        let (code, tail) = tail.split_first()?;
        rest = tail;
        let byte = match code {
            b'\\' | b'\'' | b'"' => *code,
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'x' => {
                let (hex, tail) = rest.split_at_checked(2)?;
                rest = tail;
                number(hex, 16)? as u8
            }
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|b| (b'0'..=b'7').contains(*b)).count();
                let (octal, tail) = rest.split_at(more);
                rest = tail;
                octal.iter().fold(code - b'0', |n, d| n.wrapping_mul(8).wrapping_add(d - b'0'))
            }
            other => {
                out.push(b'\\');
                *other
            }
        };
        out.push(byte);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(decode: fn(&[u8], &mut Vec<u8>) -> Option<()>, line: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(line, &mut out).map(|()| out)
    }

    #[test]
    fn raw_unicode_escapes() {
        for (line, want) in [
            (&b""[..], Some(&b""[..])),
            (b"plain", Some(b"plain")),
            (b"\xe9", Some("é".as_bytes())),
            (b"\\u005c\\u000a", Some(b"\\\n")),
            (b"\\U0001f600", Some("😀".as_bytes())),
            (b"\\ud800", Some(b"\xed\xa0\x80")),
            (b"\\\\u0041", Some(b"\\\\u0041")),
            (b"\\x", Some(b"\\x")),
            (b"\\u12", None),
            (b"\\u12g4", None),
            (b"\\U00110000", None),
        ] {
            assert_eq!(run(raw_unicode, line).as_deref(), want, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn quoted_literals() {
        for (line, want) in [
            (&b"''"[..], Some(&b""[..])),
            (b"'a\"b'", Some(b"a\"b")),
            (b"\"it's\"", Some(b"it's")),
            (b"'\\n\\t\\\\\\'\\x00\\xff'", Some(b"\n\t\\'\x00\xff")),
            (b"'\\101\\0\\18'", Some(b"A\0\x018")),
            (b"'\\q'", Some(b"\\q")),
            (b"'", None),
            (b"'a\"", None),
            (b"'\\'", None),
            (b"'\\x1'", None),
            (b"plain", None),
        ] {
            assert_eq!(run(quoted, line).as_deref(), want, "{}", line.escape_ascii());
        }
    }
}
