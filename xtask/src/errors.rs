//! No error prints its cause twice: a text in `#[error("...")]` does not contain the field that is the error's source.
//!
//! The field is one with `#[source]` or `#[from]`, or named `source`. An error is printed with the chain of its causes, so a
//! cause that is also in the text would appear twice.

use crate::root::Result;
use crate::tree;

/// Checks every Rust source.
pub(crate) fn run() -> Result<()> {
    let mut found = Vec::new();
    let mut count = 0;
    for file in tree::files()?.iter().filter(|file| file.ends_with(".rs")) {
        for error in errors(&tree::text(file)?.unwrap_or_default()) {
            count += 1;
            if let Some(cause) = error.repeated {
                found.push(format!(
                    "{file}:{}: the cause `{cause}` is printed twice; remove it from the text",
                    error.line
                ));
            }
        }
    }
    if found.is_empty() {
        println!("{count} error texts, none of which repeats its cause");
        Ok(())
    } else {
        Err(found.join("\n  "))
    }
}

/// One `#[error(...)]` attribute.
#[derive(Debug, PartialEq, Eq)]
struct ErrorText {
    line: usize,
    /// The field that is both the cause and part of the text.
    repeated: Option<String>,
}

fn errors(text: &str) -> Vec<ErrorText> {
    const START: &str = "#[error(";
    let mut found = Vec::new();
    let lines_before = |at: usize| text[..at].matches('\n').count() + 1;
    for (at, _) in text.match_indices(START) {
        // Only at the start of a line: elsewhere it is part of a comment or of a string.
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if !text[line_start..at].trim().is_empty() {
            continue;
        }
        let arguments = &text[at + START.len()..];
        let length = closing(arguments);
        let (arguments, item) = (&arguments[..length], &arguments[(length + 2).min(arguments.len())..]);
        let printed = |name: &String| is_printed(arguments, name);
        found.push(ErrorText { line: lines_before(at), repeated: causes(item).into_iter().find(printed) });
    }
    found
}

/// The position of the bracket that closes an opening one in front of `text`.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// The names (of a tuple: the positions) of the fields of a variant or struct that are its cause.
fn causes(item: &str) -> Vec<String> {
    let code: String =
        item.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let Some(open) = code.find(['(', '{', ',', ';', '}']) else { return Vec::new() };
    let is_tuple = code[open..].starts_with('(');
    if !is_tuple && !code[open..].starts_with('{') {
        return Vec::new();
    }
    let fields = &code[open + 1..];
    let fields = &fields[..closing(fields)];
    let mut causes = Vec::new();
    for (position, field) in split(fields).into_iter().enumerate() {
        let marked = field.contains("#[source]") || field.contains("#[from]");
        let declaration = field.rsplit(']').next().unwrap_or(field);
        let name = if is_tuple {
            position.to_string()
        } else {
            let name = declaration.split(':').next().unwrap_or_default().trim();
            name.rsplit(' ').next().unwrap_or_default().to_owned()
        };
        if marked || !is_tuple && name == "source" {
            causes.push(name);
        }
    }
    causes
}

/// Splits fields at the commas between them.
fn split(fields: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in fields.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&fields[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&fields[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Whether the arguments of `error(...)` print a field: in braces in the text, or as an argument behind it.
fn is_printed(arguments: &str, name: &str) -> bool {
    let inline = [format!("{{{name}}}"), format!("{{{name}:")];
    if inline.iter().any(|placeholder| arguments.contains(placeholder)) {
        return true;
    }
    let Some(text) = arguments.trim_start().strip_prefix('"') else { return false };
    let mut escaped = false;
    let end = text.char_indices().find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let behind = end.map_or("", |(end, _)| &text[end + 1..]);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_position = name.bytes().all(|byte| byte.is_ascii_digit());
    behind.match_indices(name).any(|(at, _)| {
        let (before, after) = (&behind[..at], &behind[at + name.len()..]);
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        // A position is a field only behind a dot: `.0`.
        whole && (!is_position || before.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(text: &str) -> Vec<Option<String>> {
        errors(text).into_iter().map(|error| error.repeated).collect()
    }

    #[test]
    fn causes_in_the_text_are_found() {
        for (text, cause) in [
            ("#[error(\"{hop}: {source}\")]\nX { hop: Hop, source: io::Error },", "source"),
            (
                "#[error(\"{}: {source}\", path.display())]\nX {\n/// Which.\npath: PathBuf,\nsource: E,\n}",
                "source",
            ),
            ("#[error(\"a: {}\", .source)]\nX { #[source] source: E }", "source"),
            ("#[error(\"a: {}\", show(why))]\nX { #[source] why: Arc<E<A, B>>, x: u8 }", "why"),
            ("#[error(\"a (b): {0}\")]\nX(#[source] io::Error),", "0"),
            ("#[error(\"a: {}\", .1)]\nX(u8, #[from] io::Error),", "1"),
            ("#[error(\"{source:?}\")]\npub struct X { pub(crate) source: E }", "source"),
        ] {
            assert_eq!(repeated(text), [Some(cause.to_owned())], "{text}");
        }
    }

    #[test]
    fn other_texts_pass() {
        for text in [
            "#[error(\"cannot read {path}\")]\nX { path: String, source: io::Error },",
            "#[error(\"cannot read: {error}\")]\nX { error: io::Error },",
            "#[error(transparent)]\nX(#[from] io::Error),",
            "#[error(\"{0} is odd\")]\nX(String),",
            "#[error(\"unit\")]\nX,\n#[error(\"{source}\")]\nY { text: u8 },",
            "#[error(\"{sources} {0}\", resource = 1)]\nX { #[source] source: E },",
            "#[error(\"{0}\")]\nX(u8, #[source] E),",
        ] {
            assert!(repeated(text).iter().all(Option::is_none), "{text}: {:?}", repeated(text));
            assert!(!repeated(text).is_empty(), "{text}");
        }
        assert_eq!(errors("// see #[error(\"{0}\")]\nlet x = \"#[error(\";"), []);
    }

    #[test]
    fn no_error_of_the_workspace_prints_its_cause_twice() {
        run().unwrap();
    }
}
