//! Imports as data: a source, what it imports.

use super::imports;

/// One import a line: name, names, and letters: `d`eferred, `g`uarded, `i`mplicit.
fn told(source: &str, fullname: &str, is_package: bool) -> String {
    let line = |import: super::Import| {
        let mut line = import.module;
        if !import.names.is_empty() {
            line += &format!("({})", import.names.join(","));
        }
        for (is, letter) in [(import.deferred, " d"), (import.guarded, " g"), (import.implicit, " i")] {
            line += if is { letter } else { "" };
        }
        line
    };
    imports(source.as_bytes(), fullname, is_package).into_iter().map(line).collect::<Vec<_>>().join("; ")
}

/// In a module without a package.
#[track_caller]
fn check(rows: &[(&str, &str)]) {
    for (source, expected) in rows {
        assert_eq!(told(source, "main", false), *expected, "{source}");
    }
}

#[test]
fn import_statements_are_found() {
    check(&[
        ("import a", "a"),
        ("import a.b as c, d\n", "a.b; d"),
        ("import a; import b ; x = 1; from c import d as e, f", "a; b; c(d,f)"),
        ("from a . b import(c,\n  # why\n  d as e,\n)\nimport f", "a.b(c,d); f"),
        ("from a import *\n", "a(*)"),
        ("from a import b, \\\n  c", "a(b,c)"),
        ("x = 'import a'\n# import b\n\"\"\"\nimport c\n\"\"\"\n", ""),
        ("raise a from b\nimportant = 1\nx.import_module\n", ""),
        ("class A:\n  import b\n  def f(self):\n    import c\n", "b; c d"),
        ("async def f():\n  import a\nimport b\n", "a d; b"),
        ("def f(): import a; import b\nimport c", "a d; b d; c"),
        ("import ä.ö", "ä.ö"),
        ("\u{feff}import a\r\nimport b\rimport c", "a; b; c"),
        ("import\nfrom\nfrom a\nfrom a import\nimport 1\nimport b", "a; b"),
    ]);
}

#[test]
fn imports_in_blocks_are_marked() {
    check(&[
        ("try: import a\nexcept ImportError: import b\nelse:\n  import c\nimport d", "a g; b g; c g; d"),
        ("if x:\n  import a\nelif y: import b\nelse: import c", "a g; b g; c g"),
        ("with suppress(ImportError):\n  import a", "a g"),
        ("def f():\n  try:\n    import a\n  finally: pass", "a d g"),
        ("match x:\n  case 1: import a\n  case _:\n    import b\nimport c", "a g; b g; c"),
        ("if x:\n  class A:\n    import b", "b g"),
    ]);
}

#[test]
fn blocks_that_never_run_are_skipped() {
    check(&[
        ("if TYPE_CHECKING:\n  import a\n  if x: import b\nelse:\n  import c\nimport d", "c g; d"),
        ("if typing.TYPE_CHECKING: import a\nelif x: import b\nelse: import c", "b g; c g"),
        ("if not TYPE_CHECKING:\n  import a\nelse:\n  import b\n", "a g"),
        ("if not t.TYPE_CHECKING:\n  import a\nelif x:\n  import b\nelse:\n  import c", "a g"),
        ("if False: import a\nif 0: import b\nif TYPE_CHECKING or x: import c", "c g"),
        ("if not TYPE_CHECKING: pass\nfor x in y: pass\nelse: import a", "a g"),
        ("if __name__ == '__main__':\n  import a\nelse:\n  import b", "b g"),
    ]);
    assert_eq!(told("if __name__ == '__main__':\n  import a", "__main__", false), "a g");
}

#[test]
fn import_calls_are_found() {
    check(&[
        ("x = __import__('a.b')", "a.b"),
        ("x = __import__(\"a\", globals(), locals(), ['b', 'c'], 0)", "a(b,c)"),
        ("x = __import__('a', fromlist=('b',))", "a(b)"),
        ("x = __import__(name)\nx = __import__('a' + b)\nx = __import__('a' 'b')\nx = __import__('a/b')", ""),
        ("importlib.import_module('a.b').c()", "a.b"),
        ("from importlib import import_module\nimport_module(name='a')", "importlib(import_module); a"),
        ("import_module('.a')\nimport_module('.a', package=p)\ndef import_module('a'): pass", ""),
        ("import_module('.a', package='b.c')\nimport_module('..a', 'b.c')", "b.c.a; b.a"),
        ("def f(x=__import__('a')):\n  return __import__('b')", "a; b d"),
        ("f(lambda x=__import__('a'): __import__('b'), __import__('c'))", "a; b d; c"),
        ("f(lambda: g(__import__('a'), __import__('b')))\n__import__('c')", "a d; b d; c"),
        ("if __import__('a'): pass", "a"),
        ("for x in ('a', 'b.c',): y = __import__(x)\n__import__(x)", "a g; b.c g"),
        ("for x in 'a', 'b':\n  for y in ['c']:\n    import_module(x)", "a g; b g"),
        ("for x in ('a', b): __import__(x)\nfor x in 'a' 'b': __import__(x)\nfor x in y: __import__(x)", ""),
    ]);
}

#[test]
fn relative_names_are_resolved() {
    for (source, fullname, is_package, expected) in [
        ("from . import (x, y)", "a.b", false, "a(x,y)"),
        ("from . import x", "a.b", true, "a.b(x)"),
        ("from .c import x", "a.b", false, "a.c(x)"),
        ("from .. import x", "a.b", true, "a(x)"),
        ("from ...d.e import x\nfrom.import y", "a.b.c", true, "a.d.e(x); a.b.c(y)"),
        ("from .. import x\nfrom .... import y\nfrom .....z import w", "a.b", false, ""),
        ("from . import x", "a", false, ""),
        ("import_module('.x', __package__)", "a.b", false, "a.x"),
        ("import_module('.x', __name__)", "a.b", true, "a.b.x"),
        ("__import__('x', globals(), level=1)", "a.b", false, "a.x"),
        (
            "from __future__ import absolute_import\n__import__('x', g, l, [], 1)\n",
            "a.b",
            true,
            "__future__(absolute_import); a.b.x",
        ),
    ] {
        assert_eq!(told(source, fullname, is_package), expected, "{source} in {fullname}");
    }
}

#[test]
fn implicit_relative_names_are_resolved() {
    for (source, expected) in [
        ("import x.y", "x.y; a.x.y i"),
        ("from x import y", "x(y); a.x(y) i"),
        ("def f(): import x", "x d; a.x d i"),
        ("from . import y", "a(y)"),
        ("from __future__ import division\nimport x", "__future__(division); x; a.x i"),
        ("from __future__ import absolute_import\nimport x", "__future__(absolute_import); x"),
        ("__import__('x')", "x; a.x i"),
    ] {
        assert_eq!(told(source, "a.b", false), expected, "{source}");
    }
    assert_eq!(told("import x", "a", true), "x; a.x i");
    assert_eq!(told("import x", "a", false), "x");
}

#[test]
fn imports_before_a_syntax_error_are_found() {
    check(&[
        ("import a\nx = 'open\nimport b", "a"),
        ("import a\n  )\nimport b", "a"),
        ("import a\n(import b", "a"),
        ("if x:\n    import a\n  import b", "a g"),
        ("else: import a", "a g"),
        ("    import a\n  import b", "a"),
        ("\0", ""),
        ("", ""),
    ]);
    assert_eq!(imports(b"# coding: no-such-thing\nimport a", "m", false), []);
    assert_eq!(imports(b"# coding: latin-1\nx = '\xe9'\nimport a", "m", false).len(), 1);
}

#[test]
fn imports_have_line_numbers() {
    let found = imports(b"'''\n'''\nimport a\nfrom b import (\n  c)\nx = [\n  __import__('d')]", "m", false);
    assert_eq!(found.iter().map(|import| import.line).collect::<Vec<_>>(), [3, 4, 7]);
}

/// Truncated sources and sources without one character do not panic.
#[test]
fn damaged_sources_do_not_panic() {
    let source = "#!x\nfrom __future__ import (absolute_import, d)\nimport a.b as c, ä; from .x import *\n\
        for n in ('a', 'b',): f(lambda x=[1]: __import__(n, g, l, ['y'], 1), import_module('.a', \"p\"))\n\
        if not (x) and (__name__ == '__main__'):\n\tmain()\nelif TYPE_CHECKING: pass\nelse:\n\tpass\n\
        match x:\n case {'a': [b]}: import q\n@d\nasync def f(): '''x\n''' ; return \\\n1\n";
    let characters: Vec<char> = source.chars().collect();
    for at in 0..characters.len() {
        let (before, after) = characters.split_at(at);
        for text in [before.iter().collect(), before.iter().chain(&after[1..]).collect::<String>()] {
            imports(text.as_bytes(), "p.m", true);
            let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            if let Ok(kept) = super::neutralize(text.as_bytes()) {
                assert_eq!(lines(&kept), lines(text.as_bytes()), "{text}");
            }
        }
    }
}
