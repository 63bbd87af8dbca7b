//! The form in which a module's source is sent: minified if the module allows it, deflated.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A module with this in a comment is sent without comments and docstrings.
const MARKER: &[u8] = b"!mitogen:";
const MARKED: &[u8] = b"minify_safe";

/// Packs `source`, or says why it cannot be sent.
pub(super) fn pack(source: &[u8]) -> Result<Bytes, String> {
    // The child compiles the bytes, so it decodes them as its interpreter does. In Python 2, the bytes of a string
    // are those of the file.
    let minified = if is_marked(source) {
        Cow::Owned(mitogen_minify::minimize_source(source).map_err(|error| error.to_string())?)
    } else {
        Cow::Borrowed(source)
    };
    Ok(deflate(&mitogen_minify::declare_utf8(&minified)))
}

/// Whether a line says `# !mitogen: minify_safe`.
fn is_marked(source: &[u8]) -> bool {
    source.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| {
        let comment = line.iter().position(|byte| *byte == b'#').map_or(&[][..], |at| &line[at + 1..]);
        let rest = comment.trim_ascii_start().strip_prefix(MARKER);
        rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(MARKED))
    })
}

fn deflate(data: &[u8]) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(data.len() / 3), Compression::default());
    encoder.write_all(data).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_in_comments() {
        let rows = [
            ("# !mitogen: minify_safe\n", true),
            ("x = 1  #!mitogen:minify_safe\n", true),
            ("# mitogen: minify_safe\n", false),
            ("!mitogen: minify_safe\n", false),
            ("x = 1\r# !mitogen: minify_safe\r", true),
        ];
        for (source, expected) in rows {
            assert_eq!(is_marked(source.as_bytes()), expected, "{source:?}");
        }
    }

    #[test]
    fn sources_keep_the_encoding_that_they_declare() {
        let unpacked = |source: &[u8]| {
            let mut out = Vec::new();
            let packed = pack(source).expect("it can be sent");
            std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&packed[..]), &mut out)
                .expect("zlib");
            out
        };
        let mark = b"\xef\xbb\xbf";
        let plain = b"x = u'\xc3\xa9'\n";
        let marked = [&mark[..], plain].concat();
        let latin = b"# coding: latin-1\nx = u'\xe9'\n";
        let odd = b"# coding: rot13\nx = 1\n";
        for (source, expected) in
            [(&plain[..], &marked[..]), (&marked, &marked), (latin, latin), (odd, odd), (b"\xe9", b"\xe9")]
        {
            assert_eq!(unpacked(source), expected, "{source:?}");
        }
        let minified = |lines: &[&[u8]]| unpacked(&lines.concat());
        let line = b"# !mitogen: minify_safe\n";
        assert_eq!(minified(&[line, plain]), [&mark[..], b"\nx=u'\xc3\xa9'\n"].concat());
        assert_eq!(minified(&[mark, line, plain]), [&mark[..], b"\nx=u'\xc3\xa9'\n"].concat());
        assert_eq!(
            minified(&[b"# coding: latin-1\n", line, b"x = u'\xe9'\n"]),
            b"#coding:latin-1\n\nx=u'\xe9'\n"
        );
    }
}
