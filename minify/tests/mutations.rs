//! Mutates real sources: the minifier must not panic, and its results must be accepted again.
//!
//! The mutations are the same in every run. `tests/fuzz` tests more, but is not run by default.

use std::fs;

use mitogen_minify::{TokenKind, decode, minimize_source, tokens};
use mitogen_tests::pythons;

/// The number of mutations of each source.
const MUTATIONS: usize = 60;

/// The pieces to insert: everything with a special meaning in some context.
const PIECES: &[&[u8]] = &[
    b"'",
    b"\"",
    b"'''",
    b"\"\"\"",
    b"f'",
    b"f\"\"\"{",
    b"{",
    b"}",
    b"{{",
    b"(",
    b")",
    b"]",
    b":",
    b";",
    b"\\",
    b"\\\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b"\x0c",
    b" ",
    b"#",
    b"\n    ",
    b"\0",
    b"\xff",
    "é".as_bytes(),
    "\u{301}".as_bytes(),
    b"0x",
    b"1_",
    b"1e",
    b"!",
    b"`",
    b"$",
    b"#coding:latin-1\n",
    b"\xef\xbb\xbf",
    b"\\N{",
];

#[test]
fn damaged_sources_never_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    let mut refused = 0;
    for source in seeds() {
        for _ in 0..MUTATIONS {
            let damaged = damage(&mut random, &source);
            if check(&damaged) {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

/// Every prefix of a source, which may end in the middle of a token.
#[test]
fn truncated_sources_never_panic() {
    let source =
        seeds().into_iter().min_by_key(|source| source.len().abs_diff(4000)).expect("there are seeds");
    for end in 0..source.len() {
        check(&source[..end]);
    }
}

/// Small sources of the oldest and the newest interpreter, and a source with all special syntax.
fn seeds() -> Vec<Vec<u8>> {
    let found: Vec<_> = pythons().into_iter().filter(mitogen_tests::Python::is_supported).collect();
    let ends = [found.first(), found.last()].map(|python| python.expect("there is a Python"));
    let mut seeds: Vec<Vec<u8>> = PIECES.iter().map(|piece| piece.repeat(3)).collect();
    for python in ends {
        for name in ["calendar.py", "textwrap.py", "test/test_grammar.py", "string.py", "test/test_coding.py"]
        {
            let prefix = python.path.parent().and_then(|bin| bin.parent()).expect("it stands in bin");
            let (major, minor, _) = python.version;
            let file = prefix.join(format!("lib/python{major}.{minor}/{name}"));
            seeds.extend(fs::read(file));
        }
    }
    assert!(seeds.len() > PIECES.len() + 3, "no sources of an interpreter");
    seeds
}

/// Inserts pieces, and removes, moves and changes bytes.
fn damage(random: &mut Random, source: &[u8]) -> Vec<u8> {
    let mut damaged = source.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(damaged.len() + 1);
        let end = (at + random.below(20)).min(damaged.len());
        match random.below(4) {
            0 => drop(damaged.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            1 => drop(damaged.drain(at..end)),
            2 => {
                let moved: Vec<u8> = damaged.drain(at..end).collect();
                let to = random.below(damaged.len() + 1);
                damaged.splice(to..to, moved);
            }
            _ => {
                if let Some(byte) = damaged.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap_or_default();
                }
            }
        }
    }
    damaged
}

/// Returns whether the source was accepted. If so, the result must have the same tokens, and minimizing it again must not
/// change it.
fn check(source: &[u8]) -> bool {
    let Ok(minimized) = minimize_source(source) else { return false };
    let shown = || format!("{}\n->\n{}", source.escape_ascii(), minimized.escape_ascii());
    let text = decode(&minimized).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    for token in tokens(&text) {
        let token = token.unwrap_or_else(|error| panic!("{error}: {}", shown()));
        let cookie = token.kind == TokenKind::Comment && token.text.starts_with("#coding:");
        assert!(token.kind != TokenKind::Comment || cookie, "a comment: {}", shown());
    }
    let again = minimize_source(&minimized).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    assert!(again == minimized, "not final: {}\n->\n{}", shown(), again.escape_ascii());
    true
}

/// xorshift64*: the numbers are the same in every run.
struct Random(u64);

impl Random {
    /// A number below `limit`, which must not be 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default() % limit
    }
}
