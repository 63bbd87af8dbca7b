//! Encodings that sources declare.

use crate::to_utf8;

#[test]
fn to_utf8_changes_the_coding_cookie() {
    let rows: [(&[u8], &str); 8] = [
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "# -*- coding: utf-8 -*-\nx = '\u{e9}'\n"),
        (
            b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n",
            "#!/usr/bin/python\n# vim: set fileencoding=utf-8 :\n",
        ),
        (b"# caf\xe9\n# coding=latin-1\n", "# caf\u{e9}\n# coding=utf-8\n"),
        (b"x = 1\n# coding: latin-1\n", "x = 1\n# coding: latin-1\n"),
        (b"\n\n# coding: latin-1\n", "\n\n# coding: latin-1\n"),
        (b"# decoding is hard\n", "# decoding is hard\n"),
        (b"\xef\xbb\xbf# coding: utf-8\n", "# coding: utf-8\n"),
        (b"", ""),
    ];
    for (source, expected) in rows {
        assert_eq!(to_utf8(source).expect("a known encoding"), expected, "{source:?}");
    }
}
