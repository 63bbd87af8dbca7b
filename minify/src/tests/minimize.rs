//! What the minifier makes of sources.

use crate::{Fault, compact, minimize_source};

fn minimized(source: &[u8]) -> Vec<u8> {
    minimize_source(source).unwrap_or_else(|error| panic!("{error}: {}", source.escape_ascii()))
}

#[test]
fn texts() {
    let rows = [
        ("", ""),
        ("\n\n", ""),
        ("# only\n'''a\ndocstring'''\n", ""),
        ("x", "x"),
        ("#!/usr/bin/python\n# -*- coding: utf-8 -*-\nx = 1  # one\n\n\n", "\n\nx=1\n"),
        // Docstrings, wherever they stand.
        ("'''doc'''\nimport a\n'more' 'of' u\"it\"\nb\n", "\nimport a\n\nb\n"),
        ("def f():\n    '''doc'''\n    return 1\n", "def f():\n\n return 1\n"),
        ("def f():\n    # why\n    '''doc\n    string'''\n\n    'more'\nx\n", "def f():\n\n pass\n\n\n\nx\n"),
        ("class A:\n  class B:\n    'doc'\n", "class A:\n class B:\n  pass\n"),
        ("class A:\n  'doc'\n  class B:\n    'doc'", "class A:\n\n class B:\n  pass"),
        ("if x:\n  'a'\nelse:\n  'b'\n", "if x:\n pass\nelse:\n pass\n"),
        ("'a' \\\n 'b'\nx", "\n\nx"),
        ("'a'; x = 1; 'b'; y = 2;\n", "x=1;y=2\n"),
        ("def f():\n  'a'; 'b';\n", "def f():\n pass\n"),
        ("def f(): 'doc'; x; 'more'\n", "def f():'doc';x\n"),
        ("x = 1; '''a\n'''; y = 2\n", "x=1;\\\ny=2\n"),
        // These are evaluated.
        ("f'{x}'\n'a' rf'b'\nt''\n'a' % b\n('a')\n", "f'{x}'\n'a'rf'b'\nt''\n'a'%b\n('a')\n"),
        // Lines.
        ("x = (1, # one\n\n     2)\ny\n", "x=(1,\n\n2)\ny\n"),
        ("x = [1, \\\n     2]\n", "x=[1,\n2]\n"),
        ("x = 1 + \\\n    2\n", "x=1+\\\n2\n"),
        ("x = y \\\n\nz\n", "x=y\n\nz\n"),
        ("x = '''a\n  b''' + (\n  '''\n''')\n", "x='''a\n  b'''+(\n'''\n''')\n"),
        ("x = 1\r\ny = '''\r\n\r'''\rz\r\n", "x=1\ny='''\n\n'''\nz\n"),
        ("if x:\n\tif y:\n\t    z\n\tw\nv\n", "if x:\n if y:\n  z\n w\nv\n"),
        ("if x:\n  \\\n  y\n", "if x:\n\n y\n"),
        // Spaces.
        ("if not ( x in y ) : return - 1 , ~ z\n", "if not(x in y):return-1,~z\n"),
        ("print 'a', u'b', `c`\nprint >> d, 'e'\n", "print'a',u'b',`c`\nprint>>d,'e'\n"),
        ("'a' if b else 'c' 'd'\n", "'a'if b else'c''d'\n"),
        ("b 'x'\nf \"x\"\nrb 'x'\nbar 'x'\n", "b 'x'\nf \"x\"\nrb 'x'\nbar'x'\n"),
        (
            "1 if x else 2 .real + 3.\n1if x else 2\n1..real\n",
            "1 if x else 2 .real+3.\n1if x else 2\n1..real\n",
        ),
        (
            "return .5\nfrom . import x\nfrom .. . x import y\n",
            "return.5\nfrom.import x\nfrom...x import y\n",
        ),
        ("f ( * a , ** b )\nx : int = - 1\nlambda * a : * b\n", "f(*a,**b)\nx:int=-1\nlambda*a:*b\n"),
        ("x < > y\na : = b\n", "x< >y\na: =b\n"),
        ("x = '' ''\ny = u'' \"\" \"b\" b'' u''\n", "x='' ''\ny=u''\"\" \"b\"b''u''\n"),
        ("z = '''''' 'a' '' u'b'\n", "z='''''''a'''u'b'\n"),
        ("f'{ x : > 10 }'\n", "f'{ x : > 10 }'\n"),
    ];
    for (source, expected) in rows {
        assert_eq!(String::from_utf8_lossy(&minimized(source.as_bytes())), expected, "{source:?}");
        let again = minimized(expected.as_bytes());
        assert_eq!(String::from_utf8_lossy(&again), expected, "a second time: {source:?}");
    }
}

#[test]
fn encodings() {
    let rows: &[(&[u8], &[u8])] = &[
        // ASCII needs no cookie, whatever the comments held.
        (b"# coding: latin-1\n# \xe9\nx = 1\n", b"\n\nx=1\n"),
        (b"\xef\xbb\xbfx = 1\n", b"x=1\n"),
        // Text that remains is marked as it was.
        (b"\xef\xbb\xbfx = '\xc3\xa9'\n", b"\xef\xbb\xbfx='\xc3\xa9'\n"),
        (b"x = '\xc3\xa9'\n", b"x='\xc3\xa9'\n"),
        (b"#!/bin/python\n# -*- coding: UTF-8 -*-\nx = '\xc3\xa9'\n", b"\n#coding:UTF-8\nx='\xc3\xa9'\n"),
        (b"# vim: fileencoding=utf8 :\nx = '\xc3\xa9'\n", b"#coding:utf8\nx='\xc3\xa9'\n"),
        // In Python 2 the bytes count, so the encoding stays.
        (b"# coding: latin-1\n\nx = '\xe9'\n", b"#coding:latin-1\n\nx='\xe9'\n"),
        (b"# coding: koi8-r\nx = '\xc1'\n", b"#coding:koi8-r\nx='\xc1'\n"),
        (b"# coding: cp437\nx = '\x80'\n", b"#coding:cp437\nx='\x80'\n"),
        (b"x = '\xe9' # \xe9\n", b"x='\xe9'\n"),
    ];
    for (source, expected) in rows {
        let result = minimized(source);
        assert_eq!(result.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

#[test]
fn faults() {
    let rows = [
        ("  x\n", 1, 3, Fault::UnexpectedIndent),
        ("x\n  y\n", 2, 3, Fault::UnexpectedIndent),
        ("if x: y\n  z\n", 2, 3, Fault::UnexpectedIndent),
        ("if x:\ny\n", 2, 1, Fault::NoBlock),
        ("if x:\n  if y:\nz\n", 3, 1, Fault::NoBlock),
        ("if x:\n# c\n\n", 4, 1, Fault::NoBlock),
        ("x;;y\n", 1, 3, Fault::NoStatement),
        ("if x:; y\n", 1, 6, Fault::NoStatement),
        ("x = (\n", 1, 5, Fault::UnclosedBracket('(')),
        ("é = ?\n", 1, 5, Fault::InvalidCharacter('?')),
    ];
    for (source, line, column, fault) in rows {
        let error = minimize_source(source.as_bytes()).expect_err(source);
        assert_eq!((error.line, error.column, error.fault), (line, column, fault), "{source:?}");
    }
    let error = minimize_source(b"x = (\n]\n").expect_err("no Python reads it");
    let expected = "line 2, column 1: closing ']' does not match opening '(' on line 1";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn compact_texts() {
    let rows = [
        ("\n\n# only\nx = 1\n\n\ny\n", "x=1\ny\n"),
        ("class E(Exception):\n    '''Doc.'''\n\n\nx = 1\n", "class E(Exception):\n pass\nx=1\n"),
        ("x = [\n    1,  # one\n    2,\n]\n", "x=[1,2,]\n"),
        ("if a and \\\n        b:\n    pass\n", "if a and b:\n pass\n"),
        ("x = not(\na)\ny = (b\nin c)\n", "x=not(a)\ny=(b in c)\n"),
        ("x = '''a\n  b'''\n", "x='''a\n  b'''\n"),
    ];
    for (source, expected) in rows {
        assert_eq!(compact(source).expect("it is Python"), expected, "{source:?}");
    }
}
