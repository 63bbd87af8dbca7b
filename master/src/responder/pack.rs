//! The form in which a module's source is sent: UTF-8, minified if the module allows it, deflated.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A module with this in a comment is sent without comments and docstrings.
const MARKER: &str = "!mitogen:";
const MARKED: &str = "minify_safe";

/// Packs `source`, or says why it cannot be sent.
pub(super) fn pack(source: &[u8]) -> Result<Bytes, String> {
    // Children expect UTF-8, and Python 2 decodes a source by its declaration.
    let text = mitogen_minify::to_utf8(source).map_err(|error| error.to_string())?;
    if is_marked(&text) {
        let minified = mitogen_minify::minimize_source(text.as_bytes()).map_err(|error| error.to_string())?;
        return Ok(deflate(&minified));
    }
    Ok(deflate(text.as_bytes()))
}

/// Whether a line says `# !mitogen: minify_safe`.
fn is_marked(text: &str) -> bool {
    text.lines().any(|line| {
        let comment = line.split_once('#').map_or("", |(_, comment)| comment.trim_start());
        comment.strip_prefix(MARKER).is_some_and(|rest| rest.trim_start().starts_with(MARKED))
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
        ];
        for (source, expected) in rows {
            assert_eq!(is_marked(source), expected, "{source:?}");
        }
    }
}
