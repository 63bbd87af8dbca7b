//! The main program as the module `__main__`.
//!
//! A child that calls a function of the program executes the program's file as a module. What the file
//! does when it is run as a program must not happen again in the child.

use mitogen_minify::{Token, TokenKind, decode};
use thiserror::Error;

use super::statements::{Event, events, is_main_guard};

/// A program that cannot be served as a module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MainScriptError {
    /// The source is not valid in any version of Python.
    #[error(transparent)]
    Syntax(#[from] mitogen_minify::Error),
    /// The program has no execution guard, and a statement would run again in every child.
    #[error(
        "line {line}: `{statement}` would run again in every context that imports the program; \
         move it below `if __name__ == \"__main__\":`"
    )]
    Unguarded {
        /// The line of the first such statement.
        line: usize,
        /// The beginning of the statement.
        statement: String,
    },
}

/// Removes the body of `if __name__ == "__main__":` at module level from a program. Line numbers do not
/// change. The operands may be swapped, and the comparison may be in brackets or part of an `and`; its
/// `else` is kept, but does not run.
///
/// A program without such a guard is returned unchanged if it only defines, imports and assigns at
/// module level.
///
/// # Errors
/// The source is not valid Python, or has no guard and other statements.
pub fn neutralize(source: &[u8]) -> Result<Vec<u8>, MainScriptError> {
    let text = decode(source)?;
    let (events, error) = events(&text);
    if let Some(error) = error {
        return Err(error.into());
    }
    let guards = guards(&events, &text);
    if guards.is_empty() {
        return match unguarded(&events) {
            None => Ok(source.to_vec()),
            Some(statement) => Err(complaint(statement, &text)),
        };
    }
    Ok(cut(source, &guards))
}

/// A guard with its block.
struct Guard {
    keyword: &'static str,
    /// The first line, counted from 1.
    begin: usize,
    /// The first line after it.
    end: usize,
}

fn guards(events: &[Event<'_>], text: &str) -> Vec<Guard> {
    let mut guards = Vec::new();
    let mut open: Option<Guard> = None;
    let mut depth = 0_usize;
    for event in events {
        match event {
            Event::Header(tokens) if depth == 0 && is_main_guard(tokens) => {
                open = tokens.first().map(|first| Guard {
                    keyword: if first.text == "elif" { "elif" } else { "if" },
                    begin: first.line,
                    end: first.line,
                });
            }
            Event::Header(_) | Event::Simple(_) => {}
            Event::Open => depth += 1,
            Event::Close(token) => {
                depth = depth.saturating_sub(1);
                if depth == 0
                    && let Some(mut guard) = open.take()
                {
                    // A block on lines of its own ends where the next statement begins, or at the end of the text.
                    let is_whole = token.kind == TokenKind::Dedent && token.start < text.len();
                    guard.end = if is_whole { token.line } else { token.line + 1 };
                    guards.push(guard);
                }
            }
        }
    }
    guards
}

/// Replaces whole lines, because line ends are the same bytes in every supported encoding.
fn cut(source: &[u8], guards: &[Guard]) -> Vec<u8> {
    let mut result = Vec::with_capacity(source.len());
    let mut guards = guards.iter().peekable();
    for (number, line) in (1..).zip(lines(source)) {
        while guards.next_if(|guard| guard.end <= number).is_some() {}
        let Some(guard) = guards.peek().filter(|guard| guard.begin <= number) else {
            result.extend_from_slice(line);
            continue;
        };
        if number == guard.begin {
            result.extend_from_slice(format!("{} __name__ == \"__main__\": pass", guard.keyword).as_bytes());
        }
        let text = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        result.extend_from_slice(line.get(text..).unwrap_or_default());
    }
    result
}

/// Lines including their line ends, as Python splits them.
fn lines(source: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = source;
    std::iter::from_fn(move || {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let length = match end {
            _ if rest.is_empty() => return None,
            None => rest.len(),
            Some(end) if rest.get(end..end + 2) == Some(b"\r\n") => end + 2,
            Some(end) => end + 1,
        };
        let (line, more) = rest.split_at(length);
        rest = more;
        Some(line)
    })
}

/// The first statement at module level that has an effect when the program is imported.
fn unguarded<'s, 'a>(events: &'s [Event<'a>]) -> Option<&'s [Token<'a>]> {
    // For each open block, whether it is inside a definition.
    let mut blocks = vec![false];
    let mut next = false;
    for event in events {
        let is_inside = blocks.last().copied().unwrap_or_default();
        match event {
            Event::Header(tokens) => {
                let first = tokens.first().map_or("", |token| token.text);
                if first == "while" && !is_inside {
                    return Some(tokens);
                }
                let is_async = first == "async" && tokens.get(1).is_some_and(|token| token.text == "def");
                next = is_inside || matches!(first, "def" | "class") || is_async;
            }
            Event::Simple(tokens) if !is_inside && !is_quiet(tokens) => return Some(tokens),
            Event::Simple(_) => {}
            Event::Open => blocks.push(next),
            Event::Close(_) => {
                blocks.pop();
                next = blocks.last().copied().unwrap_or_default();
            }
        }
    }
    None
}

/// Whether a statement only defines, imports or assigns, or has no effect.
fn is_quiet(statement: &[Token<'_>]) -> bool {
    let first = statement.first().map_or("", |token| token.text);
    if matches!(first, "import" | "from" | "pass" | "del" | "global" | "raise" | "assert" | "@" | "type") {
        return true;
    }
    let is_constant = |token: &Token<'_>| {
        matches!(token.kind, TokenKind::String | TokenKind::Number) || token.text == "..."
    };
    let mut depth = 0_usize;
    statement.iter().all(is_constant)
        || statement.iter().any(|token| {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            let is_comparison = matches!(token.text, "==" | "!=" | "<=" | ">=");
            depth == 0
                && token.kind == TokenKind::Operator
                && (token.text == ":" || token.text.ends_with('=') && !is_comparison)
        })
}

fn complaint(statement: &[Token<'_>], text: &str) -> MainScriptError {
    let (line, start) = statement.first().map_or((1, 0), |token| (token.line, token.start));
    let end = statement.last().map_or(start, |token| token.start + token.text.len());
    let whole = text.get(start..end).unwrap_or_default();
    let first = whole.lines().next().unwrap_or_default();
    let mut statement: String = first.chars().take(LONGEST).collect();
    if statement.len() < whole.len() {
        statement.push_str("...");
    }
    MainScriptError::Unguarded { line, statement }
}

/// The number of characters of a statement that are shown in a message.
const LONGEST: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: &str = "if __name__ == \"__main__\": pass";

    #[test]
    fn guards_lose_their_blocks() {
        for (source, expected) in [
            ("a()\nif __name__ == '__main__':\n    b()\n", "a()\nGUARD\n\n"),
            ("if '__main__' == __name__:\n  b()\n\n  c()\n# d\ne = 1\n", "GUARD\n\n\n\n\ne = 1\n"),
            ("if __name__ == '__main__': b()\nc = 1", "GUARD\nc = 1"),
            ("if __name__ == '__main__': b(); c(\n1)\nd = 1\n", "GUARD\n\nd = 1\n"),
            ("if (\n  __name__ ==\n  '__main__'\n):\n  b()\nelse:\n  c()\n", "GUARD\n\n\n\n\nelse:\n  c()\n"),
            ("if x: pass\nelif __name__ == '__main__':\n  b()", "if x: pass\nelGUARD\n"),
            ("if __name__ == '__main__':\r\n  b()\r\nc = 1\r\n", "GUARD\r\n\r\nc = 1\r\n"),
            (
                "if __name__ == '__main__':\n  '''x\n'''\n  b()\nc()\nif __name__ == '__main__': d()\n",
                "GUARD\n\n\n\nc()\nGUARD\n",
            ),
            ("if __name__ == '__main__' and x:\n\tif y:\n\t\tb()", "GUARD\n\n"),
            ("\u{feff}a()\nif __name__ == '__main__': b()", "\u{feff}a()\nGUARD"),
        ] {
            let result = String::from_utf8(neutralize(source.as_bytes()).unwrap()).unwrap();
            assert_eq!(result, expected.replace("GUARD", GUARD), "{source:?}");
        }
    }

    #[test]
    fn other_encodings_are_kept() {
        let source = b"# coding: latin-1\na = '\xe9'\nif __name__ == '__main__':\n  b('\xe9')\nc = '\xe8'";
        let expected = [b"# coding: latin-1\na = '\xe9'\n", GUARD.as_bytes(), b"\n\nc = '\xe8'"].concat();
        assert_eq!(neutralize(source).unwrap(), expected);
    }

    #[test]
    fn programs_without_side_effects_need_no_guard() {
        for source in [
            "",
            "'''A program.'''\nimport a\nfrom b import c\nd = e = f()\nx: int\nx += 1\n...\n",
            "@d(1)\ndef f():\n  g()\nclass A(B):\n  g()\nasync def h(): g()\n",
            "try:\n  import a\nexcept ImportError:\n  a = None\nif x:\n  def f(): g()\n",
            "def main():\n  if __name__ == '__main__': f()\n",
        ] {
            assert_eq!(neutralize(source.as_bytes()).unwrap(), source.as_bytes(), "{source}");
        }
    }

    #[test]
    fn programs_with_side_effects_need_a_guard() {
        for (source, line, shown) in [
            ("import a\n\na.run(x=1,\n  y=2)\n", 3, "a.run(x=1,..."),
            ("if x:\n  main()", 2, "main()"),
            ("def f():\n  pass\nprint 'a'", 3, "print 'a'"),
            ("while x:\n  y = 1", 1, "while x:"),
            ("x == y\n", 1, "x == y"),
            ("if __name__ != '__main__':\n  a = 1\nelse: main()", 3, "main()"),
        ] {
            let error = neutralize(source.as_bytes()).unwrap_err();
            let expected = MainScriptError::Unguarded { line, statement: shown.to_owned() };
            assert_eq!(error, expected, "{source}");
        }
        assert!(matches!(neutralize(b"x = '"), Err(MainScriptError::Syntax(_))));
    }
}
