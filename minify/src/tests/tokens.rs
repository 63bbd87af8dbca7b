//! The tokenizer and the decoder, as data.

use crate::{Fault, TokenKind, decode, tokens};

/// The tokens of `source`, a letter for the kind and the text.
fn show(source: &str) -> String {
    let mut shown = Vec::new();
    for token in tokens(source) {
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                shown.push(format!("{}:{} {:?}", error.line, error.column, error.fault));
                break;
            }
        };
        assert_eq!(&source[token.start..token.start + token.text.len()], token.text);
        let text = token.text;
        shown.push(match token.kind {
            TokenKind::Name => format!("n{text}"),
            TokenKind::Number => format!("#{text}"),
            TokenKind::String => format!("s{text}"),
            TokenKind::Operator => text.to_owned(),
            TokenKind::Comment => format!("c{text}"),
            TokenKind::Newline => "NL".to_owned(),
            TokenKind::BlankNewline => "nl".to_owned(),
            TokenKind::Indent => ">".to_owned(),
            TokenKind::Dedent => "<".to_owned(),
            TokenKind::End => "END".to_owned(),
        });
    }
    shown.join(" ")
}

#[test]
fn sources() {
    let rows = [
        ("", "END"),
        ("\n\n", "nl nl END"),
        ("x", "nx NL END"),
        ("x = 1 # y\n", "nx = #1 c# y NL END"),
        ("# a\nx\n", "c# a nl nx NL END"),
        // Blocks: tabs go to eight, form feeds to nothing, comments and blank lines have no depth.
        ("if x:\n  y\nz\n", "nif nx : NL > ny NL < nz NL END"),
        ("if x:\n  y", "nif nx : NL > ny NL < END"),
        ("if x:\n\ty\n        z\n", "nif nx : NL > ny NL nz NL < END"),
        ("if x:\n  if y:\n    z\n\n # c\na\n", "nif nx : NL > nif ny : NL > nz NL nl c# c nl < < na NL END"),
        ("  \x0cx\n", "nx NL END"),
        ("\x0c\nx\n", "nl nx NL END"),
        ("if x:\n  y\n z\n", "nif nx : NL > ny NL 3:2 Unindent"),
        // Newlines of every kind; within brackets they end nothing.
        ("x\r\ny\rz", "nx NL ny NL nz NL END"),
        ("(a,\n\n # c\n b)\n", "( na , nl nl c# c nl nb ) NL END"),
        ("x = \\\n  1\n", "nx = #1 NL END"),
        ("x = \\\r\n1", "nx = #1 NL END"),
        ("if x:\n  \\\n    y\n", "nif nx : NL > ny NL < END"),
        ("x \\\n\ny\n", "nx NL ny NL END"),
        ("\\\n\nx\n", "nl nx NL END"),
        ("x \\ \n", "nx 1:3 AfterBackslash"),
        ("x \\", "nx 1:3 EndAfterBackslash"),
        ("x \\\n", "nx 2:1 EndAfterBackslash"),
        // Brackets.
        ("x)", "nx 1:2 UnmatchedBracket(')')"),
        ("x = (\n]", "nx = ( nl 2:1 MismatchedBracket { close: ']', open: '(', line: 1 }"),
        ("x = (\n y\n", "nx = ( nl ny nl 1:5 UnclosedBracket('(')"),
        // Operators of both languages.
        ("a<>b", "na <> nb NL END"),
        ("`a`", "` na ` NL END"),
        ("a:=b", "na := nb NL END"),
        ("def f()->x: ...", "ndef nf ( ) -> nx : ... NL END"),
        ("a**=b//c<<=d!=e@f", "na **= nb // nc <<= nd != ne @ nf NL END"),
        ("from ..a import b", "nfrom . . na nimport nb NL END"),
        ("a ! b", "na 1:3 InvalidCharacter('!')"),
        ("a ? b", "na 1:3 InvalidCharacter('?')"),
        ("a\0", "na 1:2 NullByte"),
        // Names.
        ("match case type _ async", "nmatch ncase ntype n_ nasync NL END"),
        ("größe = ℘ + x̄ + 変数", "ngröße = n℘ + nx̄ + n変数 NL END"),
        ("ä = €", "nä = 1:5 InvalidCharacter('€')"),
        ("a\u{a0}= 1", "na 1:2 InvalidCharacter('\\u{a0}')"),
    ];
    for (source, expected) in rows {
        assert_eq!(show(source), expected, "{source:?}");
    }
}

#[test]
fn numbers() {
    let whole = [
        "0",
        "00",
        "0777",
        "0777L",
        "10L",
        "10l",
        "1_000",
        "0o17",
        "0O17",
        "0b1_0",
        "0xFFl",
        "0x_f",
        "1.",
        "1.5",
        ".5",
        "1e5",
        "1E-5",
        "1_0.0_1e1_0",
        "1j",
        "1.5J",
        ".5e1j",
        "09.5",
    ];
    for number in whole {
        assert_eq!(show(number), format!("#{number} NL END"));
    }
    assert_eq!(show("1if x else 2"), "#1 nif nx nelse #2 NL END");
    assert_eq!(show("1else 2"), "#1 nelse #2 NL END");
    assert_eq!(show("0xfor x"), "#0xf nor nx NL END");
    assert_eq!(show("1..real"), "#1. . nreal NL END");
    assert_eq!(show("x[1]and y"), "nx [ #1 ] nand ny NL END");
    for number in ["1_", "1__0", "0x", "0b2", "0o8", "1e+", "1abc", "1.5L", "0o", "1_a"] {
        assert_eq!(show(number), format!("1:1 InvalidNumber({number:?})"));
    }
}

#[test]
fn strings() {
    let whole = [
        "''",
        "\"\"",
        "''''''",
        "'a\\'b'",
        "'\\\\'",
        "'a\\\nb'",
        "'a\\\r\nb'",
        "'''a'b''c\n'''",
        "\"\"\"\"a\\\"\"\"\"",
        "r'\\'a'",
        "u'a'",
        "ur'a'",
        "bR'a'",
        "Rb'a'",
        "b'a'",
        "'é'",
        "'''\r\n\r'''",
        "f\"\"\"\"{a}\"{b}\"\"\"",
        "'''a'\\''''",
        "'''a\\\\'\\'\\'b'''",
        // Fields.
        "f'{x}'",
        "F'{{x}}'",
        "rf'{x}\\{y}'",
        "fR'a'",
        "t'{x}'",
        "Tr'{x}'",
        "f'{x!r:>{width}}'",
        "f'{x:%H:%M}'",
        "f'{x[\"a\"]}'",
        "f\"{x['}']}\"",
        "f'{x!=y}'",
        "f'{lambda x: 1}'",
        "f'{(lambda x: 1)}'",
        "f'{x:=5}'",
        "f'\\N{DIGIT ONE}{x}'",
        "rf'\\N{x}'",
        "f'\\{x}'",
        "f'''{\nx}'''",
        "f'''{x:\n}'''",
        "f'{x:{{}}}'",
        "f'{ {1: 2}[1] }'",
        "f'{x=}'",
        "f'{x:\\'}'",
        "f'a\\'b'",
        "f'''a''b{'c'}'''",
        "f'''{x}''{y}'''",
        // Nesting as of Python 3.12.
        "f'{'a'}'",
        "f'{f'{f'{1}'}'}'",
        "f'{'\\n'.join(x)}'",
        "f'{x # }'\n}'",
        "f'{\nx\n}'",
        "f'{x:a\n}'",
        "f'{f\"{x}\"}'",
        "f'{x:{'>'}{10}}'",
        "f'{rb'{'}'",
        "f'''{'''a'''}'''",
    ];
    for string in whole {
        assert_eq!(show(string), format!("s{string} NL END"), "{string:?}");
    }
    assert_eq!(show("'a' \"b\"'c'"), "s'a' s\"b\" s'c' NL END");
    assert_eq!(show("print'a'"), "nprint s'a' NL END");
    assert_eq!(show("bf'a'"), "nbf s'a' NL END");
    assert_eq!(show("x = '''a\n\nb''' + y\nz"), "nx = s'''a\n\nb''' + ny NL nz NL END");
    let faults = [
        ("'a", "1:1 UnterminatedString"),
        ("x = 'a\n'", "nx = 1:5 UnterminatedString"),
        ("\n'''a\n''", "nl 2:1 UnterminatedTripleQuoted"),
        ("'''a\\'''", "1:1 UnterminatedTripleQuoted"),
        ("f'{x'", "1:5 UnterminatedString"),
        ("f'{x:'", "1:3 UnclosedField"),
        ("f'{x", "1:3 UnclosedField"),
        ("f'{x)}'", "1:3 UnclosedField"),
        ("f'x}'", "1:4 LoneBrace"),
        ("f'{\\x}'", "1:4 AfterBackslash"),
        ("f'''\n\n{'a", "3:2 UnterminatedString"),
    ];
    for (source, expected) in faults {
        assert_eq!(show(source), expected, "{source:?}");
    }
    let deep = "f'{".repeat(100_000);
    assert!(show(&deep).ends_with("TooDeep"));
    let deep = format!("f'{{{}", "x:{".repeat(100_000));
    assert!(show(&deep).ends_with("TooDeep"));
}

#[test]
fn positions() {
    let source = "a = '''\n\n''' + b\r\nif é + c:\n\t(d,\n  e)\n";
    let places: Vec<_> = tokens(source)
        .map(|token| token.expect("it is Python"))
        .filter(|token| token.kind == TokenKind::Name)
        .map(|token| (token.text, token.line, token.column))
        .collect();
    let expected =
        [("a", 1, 0), ("b", 3, 6), ("if", 4, 0), ("é", 4, 3), ("c", 4, 8), ("d", 5, 2), ("e", 6, 2)];
    assert_eq!(places, expected);
}

#[test]
fn nothing_after_the_end() {
    for source in ["x", "$"] {
        let mut tokens = tokens(source);
        while tokens.next().is_some() {}
        assert!(tokens.next().is_none());
    }
}

#[test]
fn encodings() {
    let rows: &[(&[u8], &str)] = &[
        (b"x", "x"),
        ("é".as_bytes(), "é"),
        (b"\xef\xbb\xbfx", "x"),
        (b"#coding:utf8\n\xc3\xa9", "#coding:utf8\né"),
        (b"# -*- coding: latin-1 -*-\n\xe9", "# -*- coding: latin-1 -*-\né"),
        (
            b"#!/bin/sh\n# vim: set fileencoding=iso-8859-15 :\n\xa4",
            "#!/bin/sh\n# vim: set fileencoding=iso-8859-15 :\n€",
        ),
        (b"\x0c\n#coding=koi8_r\n\xc1", "\x0c\n#coding=koi8_r\nа"),
        (b"#coding:cp1252\r\n\x80", "#coding:cp1252\r\n€"),
        (b"#coding: euc_jp\n\xb0\xa1", "#coding: euc_jp\n亜"),
        (b"#coding: cp437\n\x80", "#coding: cp437\n\u{80}"),
        // What Python 2 lets pass: bytes.
        (b"# \xe9", "# é"),
        (b"# coding: utf-8 \xe9", "# coding: utf-8 é"),
        // These are no cookies.
        (b"x\n#coding: nonsense\n", "x\n#coding: nonsense\n"),
        (b"\n\n#coding: nonsense\n", "\n\n#coding: nonsense\n"),
        (b"x = 'coding: nonsense'", "x = 'coding: nonsense'"),
        (b"# coding : nonsense, coding:", "# coding : nonsense, coding:"),
    ];
    for (bytes, expected) in rows {
        assert_eq!(decode(bytes).expect("decodes"), *expected, "{bytes:?}");
    }
    let fault = |bytes: &[u8]| decode(bytes).map(drop).map_err(|error| (error.line, error.fault));
    let name = || "nonsense".to_owned();
    assert_eq!(fault(b"\n#coding: nonsense"), Err((2, Fault::UnknownEncoding { name: name() })));
    assert_eq!(fault(b"#coding: utf-16"), Err((1, Fault::UnknownEncoding { name: "utf-16".to_owned() })));
    assert_eq!(fault(b"#coding: ascii\n\xe9"), Err((1, Fault::NotAsDeclared { name: "ascii".to_owned() })));
    assert_eq!(fault(b"#coding: euc-jp\n\xff"), Err((1, Fault::NotAsDeclared { name: "euc-jp".to_owned() })));
    let mark = b"\xef\xbb\xbf#coding: latin-1\n";
    assert_eq!(fault(mark), Err((1, Fault::MarkAndCookie { name: "latin-1".to_owned() })));
}
