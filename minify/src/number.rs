//! Finds the end of a number, in the forms of Python 2 and 3: `0777`, `10L`, `1_000`, `0o17`, `1e5`, `1j`.

/// The position after the number that begins at `start`; the position of the fault if the number is invalid.
///
/// `bytes[start]` must be a digit, or a point that is followed by a digit.
pub(crate) fn end(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let at = match (bytes[start], bytes.get(start + 1)) {
        (b'0', Some(b'x' | b'X')) => based(bytes, start + 2, |byte| byte.is_ascii_hexdigit()),
        (b'0', Some(b'o' | b'O')) => based(bytes, start + 2, |byte| matches!(byte, b'0'..=b'7')),
        (b'0', Some(b'b' | b'B')) => based(bytes, start + 2, |byte| matches!(byte, b'0' | b'1')),
        _ => decimal(bytes, start),
    }?;
    let after = &bytes[at..];
    let runs_on = after.first().copied().is_some_and(crate::literal::is_word) && !keyword_follows(after);
    if runs_on { Err(at) } else { Ok(at) }
}

/// Whether a keyword follows, which needs no space before it: `1if x else 2`, `x[1:2]and y`, `raise 1from e`.
fn keyword_follows(after: &[u8]) -> bool {
    const WORDS: [&[u8]; 11] =
        [b"and", b"as", b"async", b"else", b"for", b"from", b"if", b"in", b"is", b"not", b"or"];
    WORDS.iter().any(|word| after.starts_with(word))
}

fn based(bytes: &[u8], start: usize, is_digit: impl Fn(u8) -> bool) -> Result<usize, usize> {
    // An underscore may also follow the letter.
    let first = start + usize::from(bytes.get(start) == Some(&b'_'));
    let at = digits(bytes, first, is_digit)?;
    if at == first { Err(at) } else { Ok(long_suffix(bytes, at)) }
}

fn decimal(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let mut at = digits(bytes, start, is_digit)?;
    let mut whole = true;
    if bytes.get(at) == Some(&b'.') {
        whole = false;
        at = digits(bytes, at + 1, is_digit)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let power = at + 1 + sign;
        let end = digits(bytes, power, is_digit)?;
        // `1else` is a number and a word.
        if end > power {
            whole = false;
            at = end;
        } else if sign == 1 {
            return Err(power);
        }
    }
    if matches!(bytes.get(at), Some(b'j' | b'J')) {
        return Ok(at + 1);
    }
    Ok(if whole { long_suffix(bytes, at) } else { at })
}

fn long_suffix(bytes: &[u8], at: usize) -> usize {
    at + usize::from(matches!(bytes.get(at), Some(b'l' | b'L')))
}

/// Digits with single underscores between them.
fn digits(bytes: &[u8], start: usize, is_digit: impl Fn(u8) -> bool) -> Result<usize, usize> {
    let mut at = start;
    loop {
        match bytes.get(at) {
            Some(&byte) if is_digit(byte) => at += 1,
            Some(b'_') if at > start => {
                if !bytes.get(at + 1).is_some_and(|&byte| is_digit(byte)) {
                    return Err(at + 1);
                }
                at += 1;
            }
            _ => return Ok(at),
        }
    }
}
