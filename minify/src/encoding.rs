//! Decodes and encodes sources: byte order mark, coding cookie (PEP 263), and the leniency of Python 2.

use std::borrow::Cow;

use crate::error::{Error, Fault};

/// Decodes a Python source.
///
/// The encoding is UTF-8 unless a coding cookie in the first two lines declares another one. A byte order mark is
/// removed. Python 2 does not check the bytes of comments and strings in a UTF-8 source, so if they are not valid
/// UTF-8, each byte becomes the character with its number.
///
/// # Errors
/// When the cookie names an unsupported encoding, or the bytes are not valid in it.
pub fn decode(source: &[u8]) -> Result<Cow<'_, str>, Error> {
    Decoded::new(source).map(|decoded| decoded.text)
}

/// Adds a UTF-8 byte order mark to a source that is UTF-8 with characters beyond ASCII and declares no encoding.
///
/// Python 3 reads such a source as UTF-8 with or without the mark. Python 2 needs the mark: a source that is compiled
/// from memory is taken for Latin-1 otherwise. All other sources are returned as they are.
pub fn declare_utf8(source: &[u8]) -> Cow<'_, [u8]> {
    let declares = source.starts_with(MARK) || cookie(source).is_some();
    if declares || source.is_ascii() || std::str::from_utf8(source).is_err() {
        return Cow::Borrowed(source);
    }
    Cow::Owned([MARK, source].concat())
}

/// The text of a source, and how it was encoded.
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) encoding: Encoding,
    /// Whether the source began with a UTF-8 byte order mark.
    pub(crate) mark: bool,
    pub(crate) cookie: Option<Cookie<'a>>,
}

/// The comment that declares the encoding of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie<'a> {
    /// The line of the comment: 1 or 2.
    pub(crate) line: usize,
    pub(crate) name: &'a str,
}

/// The encoding of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    /// Each byte is the character with its number: Latin-1, and encodings of which only the ASCII part matters.
    Bytes,
    Other(&'static encoding_rs::Encoding),
}

/// The UTF-8 byte order mark.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

impl<'a> Decoded<'a> {
    pub(crate) fn new(source: &'a [u8]) -> Result<Self, Error> {
        let (mark, bytes) = match source.strip_prefix(MARK) {
            Some(rest) => (true, rest),
            None => (false, source),
        };
        let cookie = cookie(bytes);
        let (encoding, text) = match cookie {
            None => utf8_or_bytes(bytes),
            Some(cookie) => {
                let fault = |fault| Error { line: cookie.line, column: 1, fault };
                let name = cookie.name.to_owned();
                match named(cookie.name) {
                    None => return Err(fault(Fault::UnknownEncoding { name })),
                    Some(Named::Utf8) => utf8_or_bytes(bytes),
                    Some(_) if mark => return Err(fault(Fault::MarkAndCookie { name })),
                    Some(Named::Ascii) if !bytes.is_ascii() => {
                        return Err(fault(Fault::NotAsDeclared { name }));
                    }
                    Some(Named::Ascii) => utf8_or_bytes(bytes),
                    Some(Named::Bytes) => (Encoding::Bytes, encoding_rs::mem::decode_latin1(bytes)),
                    Some(Named::Other(encoding)) => {
                        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
                        let text = text.ok_or_else(|| fault(Fault::NotAsDeclared { name }))?;
                        (Encoding::Other(encoding), text)
                    }
                }
            }
        };
        Ok(Self { text, encoding, mark, cookie })
    }
}

impl Encoding {
    /// Encodes `text`, which was decoded from this encoding.
    pub(crate) fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(text.as_bytes()),
            Self::Bytes => encoding_rs::mem::encode_latin1_lossy(text),
            Self::Other(encoding) => encoding.encode(text).0,
        }
    }
}

fn utf8_or_bytes(bytes: &[u8]) -> (Encoding, Cow<'_, str>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Encoding::Utf8, Cow::Borrowed(text)),
        Err(_) => (Encoding::Bytes, encoding_rs::mem::decode_latin1(bytes)),
    }
}

/// The cookie in the first line, or in the second if the first contains no code.
fn cookie(bytes: &[u8]) -> Option<Cookie<'_>> {
    let mut rest = bytes;
    for line in 1..=2 {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let blanks = rest[..end].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0c)).count();
        let content = &rest[blanks..end];
        if content.first().is_some_and(|&first| first != b'#') {
            return None;
        }
        if let Some(name) = cookie_name(content) {
            return Some(Cookie { line, name });
        }
        let newline = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = rest.get(end + newline..)?;
    }
    None
}

/// The name after the first `coding:` or `coding=` that is followed by one.
fn cookie_name(comment: &[u8]) -> Option<&str> {
    const WORD: &[u8] = b"coding";
    (0..comment.len().saturating_sub(WORD.len())).find_map(|at| {
        let rest = comment[at..].strip_prefix(WORD)?;
        let rest = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"="))?;
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = &rest[blanks..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            .count();
        std::str::from_utf8(&rest[..length]).ok().filter(|name| !name.is_empty())
    })
}

/// The encoding with the name of a cookie.
enum Named {
    Utf8,
    Ascii,
    Bytes,
    Other(&'static encoding_rs::Encoding),
}

fn named(name: &str) -> Option<Named> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let is =
        |stem: &str| name.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    if is("utf-8") || is("utf8") || matches!(&*name, "u8" | "utf" | "cp65001") {
        return Some(Named::Utf8);
    }
    if ["latin-1", "iso-8859-1", "iso-latin-1"].into_iter().any(is) {
        return Some(Named::Bytes);
    }
    match &*name {
        "ascii" | "us-ascii" | "646" => return Some(Named::Ascii),
        "latin1" | "latin" | "l1" | "iso8859-1" | "iso8859" | "8859" | "cp819" => return Some(Named::Bytes),
        _ => {}
    }
    let label = match &*name {
        "mac-roman" | "macroman" => "macintosh",
        "mac-cyrillic" | "maccyrillic" => "x-mac-cyrillic",
        "cp932" | "932" | "ms932" | "mskanji" | "ms-kanji" | "s-jis" => "shift_jis",
        "cp936" | "936" | "ms936" => "gbk",
        "cp949" | "949" | "ms949" | "uhc" | "euckr" => "euc-kr",
        "cp950" | "950" | "ms950" => "big5",
        "eucjp" | "ujis" | "u-jis" => "euc-jp",
        "euc-cn" | "euccn" | "gb2312-1980" => "gb2312",
        "latin2" => "iso-8859-2",
        "latin9" => "iso-8859-15",
        _ => &name,
    };
    let found = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes());
    if let Some(found) = found.filter(|found| found.is_ascii_compatible()) {
        return Some(Named::Other(found));
    }
    is_code_page(&name).then_some(Named::Bytes)
}

/// Python's other single-byte encodings that contain ASCII. The characters of the upper half do not matter: the
/// interpreter gets the same bytes again.
fn is_code_page(name: &str) -> bool {
    const PAGES: &[&str] = &[
        "437", "720", "737", "775", "850", "852", "855", "857", "858", "860", "861", "862", "863", "865",
        "869", "1006", "1125",
    ];
    const NAMES: &[&str] = &[
        "hp-roman8",
        "koi8-t",
        "kz1048",
        "mac-croatian",
        "mac-greek",
        "mac-iceland",
        "mac-latin2",
        "mac-romanian",
        "mac-turkish",
        "palmos",
        "ptcp154",
    ];
    let page = ["cp", "ibm"].into_iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    PAGES.contains(&page) || NAMES.contains(&name)
}
