//! A module's source as it travels: UTF-8, shrunk where the module allows it, deflated.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Modules with this in a comment are sent without comments and docstrings.
const MARKER: &str = "!mitogen:";
const MARKED: &str = "minify_safe";

/// `source` ready to be sent, or why it cannot be.
pub(super) fn pack(source: &[u8]) -> Result<Bytes, String> {
    let text = mitogen_minify::decode(source).map_err(|error| error.to_string())?;
    let packed = if is_marked(&text) {
        mitogen_minify::minimize_source(source).map_err(|error| error.to_string())?
    } else {
        declare_utf8(&text).into_bytes()
    };
    Ok(deflate(&packed))
}

/// Whether a line says `# !mitogen: minify_safe`.
fn is_marked(text: &str) -> bool {
    text.lines().any(|line| {
        let comment = line.split_once('#').map_or("", |(_, comment)| comment.trim_start());
        comment.strip_prefix(MARKER).is_some_and(|rest| rest.trim_start().starts_with(MARKED))
    })
}

/// The text with the encoding that it declares, if it does, made true: what is sent is UTF-8, and
/// Python 2 goes by the declaration.
fn declare_utf8(text: &str) -> String {
    let mut rest = text;
    for _ in 0..2 {
        let line = rest.split_inclusive('\n').next().unwrap_or("");
        if let Some(name) = declared(line) {
            let at = name.as_ptr() as usize - text.as_ptr() as usize;
            let mut out = String::with_capacity(text.len());
            out.push_str(&text[..at]);
            out.push_str("utf-8");
            out.push_str(&text[at + name.len()..]);
            return out;
        }
        let bare = line.trim();
        if !bare.is_empty() && !bare.starts_with('#') {
            break;
        }
        rest = &rest[line.len()..];
    }
    text.to_owned()
}

/// The encoding that a line declares (PEP 263), as it stands in it.
fn declared(line: &str) -> Option<&str> {
    let comment = line.trim_start_matches([' ', '\t', '\x0c']).strip_prefix('#')?;
    let (_, rest) = comment.split_once("coding")?;
    let rest = rest.strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
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
    fn declarations_are_made_true() {
        let rows = [
            ("# -*- coding: latin-1 -*-\nx = 1\n", "# -*- coding: utf-8 -*-\nx = 1\n"),
            (
                "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n",
                "#!/usr/bin/python\n# vim: set fileencoding=utf-8 :\n",
            ),
            ("x = 1\n# coding: latin-1\n", "x = 1\n# coding: latin-1\n"),
            ("\n\n# coding: latin-1\n", "\n\n# coding: latin-1\n"),
            ("# decoding is hard\n", "# decoding is hard\n"),
            ("", ""),
        ];
        for (source, expected) in rows {
            assert_eq!(declare_utf8(source), expected, "{source:?}");
        }
    }

    #[test]
    fn markers_are_found_in_comments() {
        let rows = [
            ("# !mitogen: minify_safe\n", true),
            ("x = 1  #!mitogen:minify_safe\n", true),
            ("# mitogen: minify_safe\n", false),
            ("!mitogen: minify_safe\n", false),
        ];
        for (source, expected) in rows {
            assert_eq!(is_marked(source), expected, "{source:?}");
        }
    }
}
