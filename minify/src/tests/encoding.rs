//! Encodings that sources declare.

use crate::declare_utf8;

#[test]
fn a_mark_is_added_where_python_2_needs_it() {
    let rows: [(&[u8], &[u8]); 8] = [
        (b"x = '\xc3\xa9'\n", b"\xef\xbb\xbfx = '\xc3\xa9'\n"),
        (b"\xef\xbb\xbfx = '\xc3\xa9'\n", b"\xef\xbb\xbfx = '\xc3\xa9'\n"),
        (b"# coding: utf-8\nx = '\xc3\xa9'\n", b"# coding: utf-8\nx = '\xc3\xa9'\n"),
        (b"#!/bin/x\n# coding=latin-1\nx = '\xc3\xa9'\n", b"#!/bin/x\n# coding=latin-1\nx = '\xc3\xa9'\n"),
        (b"x = 1\n# coding: latin-1\n# \xc3\xa9\n", b"\xef\xbb\xbfx = 1\n# coding: latin-1\n# \xc3\xa9\n"),
        (b"x = '\xe9'\n", b"x = '\xe9'\n"),
        (b"x = 1\n", b"x = 1\n"),
        (b"", b""),
    ];
    for (source, expected) in rows {
        assert_eq!(&*declare_utf8(source), expected, "{source:?}");
    }
}
