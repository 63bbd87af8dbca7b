//! The statements and blocks of a Python source, from its tokens.
//!
//! Tokens inside a statement are not parsed further; the callers interpret them.

use mitogen_minify::{Error, Token, TokenKind, tokens};

/// A statement, or the beginning or end of a block.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// The header of a compound statement, including its colon.
    Header(Vec<Token<'a>>),
    /// A simple statement.
    Simple(Vec<Token<'a>>),
    /// A block begins, on the line of its header or on the next.
    Open,
    /// A block ends before this token, or at the end of a line.
    Close(Token<'a>),
}

/// The statements of a source up to the first syntax error, and that error.
pub(super) fn events(text: &str) -> (Vec<Event<'_>>, Option<Error>) {
    let mut reader = Reader::default();
    for token in tokens(text) {
        match token {
            Ok(token) => reader.take(token),
            Err(error) => {
                // The incomplete statement may already contain the name that it imports.
                reader.finish_statement();
                return (reader.events, Some(error));
            }
        }
    }
    (reader.events, None)
}

#[derive(Default)]
struct Reader<'a> {
    events: Vec<Event<'a>>,
    statement: Vec<Token<'a>>,
    brackets: usize,
    /// Lambdas outside of brackets whose colon has not been read yet.
    lambdas: usize,
    /// Blocks that began on this line.
    inline: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: Token<'a>) {
        match token.kind {
            TokenKind::Comment | TokenKind::BlankNewline | TokenKind::End => {}
            TokenKind::Indent => self.events.push(Event::Open),
            TokenKind::Dedent => self.events.push(Event::Close(token)),
            TokenKind::Newline => {
                self.finish_statement();
                for _ in 0..std::mem::take(&mut self.inline) {
                    self.events.push(Event::Close(token));
                }
            }
            TokenKind::Name | TokenKind::Number | TokenKind::String | TokenKind::Operator => {
                self.take_word(token);
            }
        }
    }

    fn take_word(&mut self, token: Token<'a>) {
        // Everything after a header on the same line is in its block.
        if self.statement.is_empty() && matches!(self.events.last(), Some(Event::Header(_))) {
            self.events.push(Event::Open);
            self.inline += 1;
        }
        match token.text {
            "(" | "[" | "{" => self.brackets += 1,
            ")" | "]" | "}" => self.brackets = self.brackets.saturating_sub(1),
            "lambda" if self.brackets == 0 => self.lambdas += 1,
            ";" if self.brackets == 0 => return self.finish_statement(),
            ":" if self.brackets == 0 && self.lambdas > 0 => self.lambdas -= 1,
            ":" if self.brackets == 0 && is_compound(&self.statement) => {
                self.statement.push(token);
                return self.events.push(Event::Header(std::mem::take(&mut self.statement)));
            }
            _ => {}
        }
        self.statement.push(token);
    }

    fn finish_statement(&mut self) {
        (self.brackets, self.lambdas) = (0, 0);
        if !self.statement.is_empty() {
            self.events.push(Event::Simple(std::mem::take(&mut self.statement)));
        }
    }
}

/// Whether a colon after these tokens begins a block.
fn is_compound(tokens: &[Token<'_>]) -> bool {
    let Some((first, rest)) = tokens.split_first() else { return false };
    match first.text {
        "if" | "elif" | "else" | "try" | "except" | "finally" | "for" | "while" | "with" | "def"
        | "class" | "async" => true,
        // These are also valid names. As keywords they are followed by a token that cannot follow a name.
        "match" | "case" => rest.first().is_some_and(|next| match next.kind {
            TokenKind::Operator => matches!(next.text, "(" | "[" | "{" | "-" | "*" | "~" | "+"),
            _ => true,
        }),
        _ => false,
    }
}

/// Whether a header's condition is `__name__ == "__main__"`, or an `and` of that and more.
pub(super) fn is_main_guard(header: &[Token<'_>]) -> bool {
    let [keyword, condition @ .., _colon] = header else { return false };
    matches!(keyword.text, "if" | "elif") && holds_main(condition)
}

fn holds_main(condition: &[Token<'_>]) -> bool {
    let condition = unwrapped(condition);
    let mut depth = 0_usize;
    let mut has_or = false;
    let mut cuts = vec![];
    for (index, token) in condition.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "and" if depth == 0 => cuts.push(index),
            "or" | "if" | "lambda" if depth == 0 => has_or = true,
            _ => {}
        }
    }
    if has_or {
        return false;
    }
    if cuts.is_empty() {
        let is_name = |token: &Token<'_>| token.kind == TokenKind::Name && token.text == "__name__";
        let is_main = |token: &Token<'_>| literal(token) == Some("__main__");
        return match condition {
            [a, equals, b] if equals.text == "==" => is_name(a) && is_main(b) || is_main(a) && is_name(b),
            _ => false,
        };
    }
    let mut begin = 0;
    cuts.push(condition.len());
    cuts.iter().any(|&end| {
        let part = condition.get(begin..end).unwrap_or_default();
        begin = end + 1;
        holds_main(part)
    })
}

/// Removes brackets around the whole expression.
fn unwrapped<'s, 'a>(mut condition: &'s [Token<'a>]) -> &'s [Token<'a>] {
    while let [open, inner @ .., close] = condition {
        let mut depth = 1_usize;
        let encloses = open.text == "("
            && close.text == ")"
            && inner.iter().all(|token| {
                match token.text {
                    "(" | "[" | "{" => depth += 1,
                    ")" | "]" | "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth > 0
            });
        if !encloses {
            break;
        }
        condition = inner;
    }
    condition
}

/// The value of a string literal without escapes that is text in Python 2 or in Python 3.
pub(super) fn literal<'a>(token: &Token<'a>) -> Option<&'a str> {
    if token.kind != TokenKind::String {
        return None;
    }
    let quote = token.text.find(['"', '\''])?;
    let (prefix, body) = token.text.split_at(quote);
    if !matches!(prefix, "" | "u" | "U" | "r" | "R") {
        return None;
    }
    let body = ["\"\"\"", "'''", "\"", "'"]
        .iter()
        .find_map(|quotes| body.strip_prefix(quotes).and_then(|body| body.strip_suffix(quotes)))?;
    (!body.contains('\\')).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers with `:` at their end, blocks in braces.
    fn shape(text: &str) -> String {
        let (events, error) = events(text);
        let words =
            |tokens: &[Token<'_>]| tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
        let mut parts: Vec<String> = events
            .iter()
            .map(|event| match event {
                Event::Header(tokens) | Event::Simple(tokens) => words(tokens),
                Event::Open => "{".into(),
                Event::Close(_) => "}".into(),
            })
            .collect();
        parts.extend(error.map(|error| format!("! {error}")));
        parts.join(" | ")
    }

    #[test]
    fn statements_and_blocks_are_split() {
        for (text, expected) in [
            ("a\nb; c;\n", "a | b | c"),
            ("if x: a; b\nc\n", "if x : | { | a | b | } | c"),
            ("if x:\n  a\nelse:\n  b\n", "if x : | { | a | } | else : | { | b | }"),
            ("if lambda: 0: a\n", "if lambda : 0 : | { | a | }"),
            ("x: int = {1: 2}\n", "x : int = { 1 : 2 }"),
            (
                "def f(a: int = b[1:2]) -> c: return\n",
                "def f ( a : int = b [ 1 : 2 ] ) -> c : | { | return | }",
            ),
            ("match x:\n  case [1]: a\n", "match x : | { | case [ 1 ] : | { | a | } | }"),
            ("match: int\ncase = 1\nmatch.x\n", "match : int | case = 1 | match . x"),
            ("if x:\n  a = (1,\n# c\n2)\n  b", "if x : | { | a = ( 1 , 2 ) | b | }"),
            ("import a\nx = '\n", "import a | x = | ! line 2, column 5: unterminated string literal"),
            ("", ""),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn main_guards_are_recognized() {
        let is_guard = |condition: &str| {
            let text = format!("if {condition}: pass");
            let (events, _) = events(&text);
            match events.first() {
                Some(Event::Header(header)) => is_main_guard(header),
                _ => panic!("no header in {text}"),
            }
        };
        for condition in [
            "__name__ == '__main__'",
            "\"__main__\" == __name__",
            "(__name__ == '__main__')",
            "((__name__ == '__main__')) and x",
            "__name__=='''__main__'''",
            "x and (__name__ == u'__main__' and y)",
        ] {
            assert!(is_guard(condition), "{condition}");
        }
        for condition in [
            "__name__ != '__main__'",
            "__name__ == '__main__' or x",
            "not __name__ == '__main__'",
            "__name__ == b'__main__'",
            "name == '__main__'",
            "f(__name__ == '__main__')",
            "x",
        ] {
            assert!(!is_guard(condition), "{condition}");
        }
    }
}
