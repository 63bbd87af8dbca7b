//! Shrinks our own Python sources: comments, docstrings, blank lines and needless spaces go.
//!
//! The result parses to the same tree, docstrings aside (a test holds every interpreter to that).
//! Made for the sources in `core/python`, which keep to spaces for indentation; text that is not
//! Python comes out as something else that is not Python.

/// What a token is, as far as joining tokens is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Text,
    Other,
}

/// The same program in fewer bytes.
pub fn compact(source: &str) -> String {
    let mut out = String::with_capacity(source.len() / 2);
    let mut indents = vec![0usize];
    // Set while a block has been opened and nothing has been written into it.
    let mut empty_block = false;
    let mut rest = source;
    while let Some((indent, line, after)) = logical_line(rest) {
        rest = after;
        if line.is_empty() {
            continue;
        }
        let opens = indents.last().is_some_and(|&last| indent > last);
        if empty_block && !opens {
            // Only a docstring stood there.
            push_indent(&mut out, indents.len());
            out.push_str("pass\n");
        }
        while indents.last().is_some_and(|&last| indent < last) {
            indents.pop();
        }
        if line.iter().all(|(kind, _)| *kind == Kind::Text) {
            continue;
        }
        if opens {
            indents.push(indent);
        }
        empty_block = line.last().is_some_and(|(_, text)| *text == ":");
        push_indent(&mut out, indents.len() - 1);
        push_tokens(&mut out, &line);
        out.push('\n');
    }
    if empty_block {
        push_indent(&mut out, indents.len());
        out.push_str("pass\n");
    }
    out
}

fn push_indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth));
}

fn push_tokens(out: &mut String, line: &[Token<'_>]) {
    let mut before = Kind::Other;
    for &(kind, text) in line {
        let wordish = matches!(before, Kind::Word | Kind::Number);
        let touches = wordish && kind != Kind::Other
            || before == Kind::Text && matches!(kind, Kind::Word | Kind::Number)
            || before == Kind::Number && text.starts_with('.');
        if touches {
            out.push(' ');
        }
        out.push_str(text);
        before = kind;
    }
}

/// A token and what it is.
type Token<'a> = (Kind, &'a str);

/// Indentation, tokens and what follows of the first logical line of `source`.
fn logical_line(source: &str) -> Option<(usize, Vec<Token<'_>>, &str)> {
    if source.is_empty() {
        return None;
    }
    let indent = source.len() - source.trim_start_matches(' ').len();
    let mut rest = &source[indent..];
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' if depth == 0 => return Some((indent, tokens, &rest[1..])),
            '\\' if rest.starts_with("\\\n") => {
                rest = &rest[2..];
                continue;
            }
            ' ' | '\n' => {
                rest = &rest[1..];
                continue;
            }
            '#' => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            _ => token_length(rest),
        };
        let (text, after) = rest.split_at(length);
        match text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens.push((kind(text), text));
        rest = after;
    }
    Some((indent, tokens, rest))
}

fn kind(text: &str) -> Kind {
    match text.chars().next() {
        Some(first) if first.is_ascii_digit() => Kind::Number,
        _ if text.ends_with(['"', '\'']) => Kind::Text,
        Some(first) if is_word(first) => Kind::Word,
        _ => Kind::Other,
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The length of the token that `rest` starts with; an operator is taken a character at a time,
/// because nothing is ever put between operators that were not apart.
fn token_length(rest: &str) -> usize {
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    match rest[word..].chars().next() {
        Some(quote @ ('"' | '\'')) if word <= 2 && rest[..word].chars().all(|c| "bBrRuU".contains(c)) => {
            word + string_length(&rest[word..], quote)
        }
        _ if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len())
        }
        _ if word > 0 => word,
        _ => rest.chars().next().map_or(0, char::len_utf8),
    }
}

fn string_length(rest: &str, quote: char) -> usize {
    let one = quote.to_string();
    let triple = one.repeat(3);
    let close = if rest.starts_with(&triple) { triple } else { one };
    let mut at = close.len();
    while at < rest.len() && !rest[at..].starts_with(&close) {
        let skip = usize::from(rest[at..].starts_with('\\'));
        at += skip;
        at += rest[at..].chars().next().map_or(0, char::len_utf8);
    }
    (at + close.len()).min(rest.len())
}
