//! Building a diagnostic from a range of a profile file.

use std::ops::Range;

use super::super::diagnostic::Diagnostic;
use super::super::options::MASK;
use super::super::profile_file::ProfileFile;

/// A diagnostic for a range of bytes, without key, message and hint. `secrets` are the keys whose values
/// are masked.
pub(super) fn diagnostic_at(file: &ProfileFile, span: Range<usize>, secrets: &[&str]) -> Diagnostic {
    let position = file.position(span.start);
    let text = file.line(position.line);
    let excerpt = mask(file, position.line, secrets).unwrap_or_else(|| text.trim_end().to_owned());
    let start = file.line_start(position.line);
    let end = span.end.clamp(span.start, start + text.len());
    let width = file.text().get(span.start..end).map_or(0, |marked| marked.chars().count());
    let width = width.min((excerpt.chars().count() + 1).saturating_sub(position.column)).max(1);
    Diagnostic {
        path: file.path().to_owned(),
        line: position.line,
        column: position.column,
        key: None,
        message: String::new(),
        hint: None,
        excerpt,
        width,
    }
}

/// The line with secrets masked; `None` if it has none. This scans the text, because it is also used
/// for text that is not valid TOML: everything from the `=` behind the key of a secret to the end of
/// the line is masked, and so are the further lines of a string in triple quotes.
fn mask(file: &ProfileFile, line: usize, secrets: &[&str]) -> Option<String> {
    let mut inside: Option<&str> = None;
    for number in 1..=line {
        let text = file.line(number);
        if let Some(quotes) = inside {
            if number == line {
                return Some(MASK.to_owned());
            }
            if text.contains(quotes) {
                inside = None;
            }
            continue;
        }
        let Some(value) = secret_value(text, secrets) else { continue };
        if number == line {
            return Some(format!("{} {MASK}", &text[..value]));
        }
        inside = ["\"\"\"", "'''"].into_iter().find(|quotes| text[value..].matches(quotes).count() == 1);
    }
    None
}

/// The offset of a secret's value in a line. A table is not a secret but a reference to one, unless it
/// contains a secret on the same line: then the inner key is found.
fn secret_value(line: &str, secrets: &[&str]) -> Option<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    for (equals, _) in line.match_indices('=') {
        let key = line[..equals].trim_end().trim_end_matches(['"', '\'']);
        let name = &key[key
            .rfind(|c| !word(c))
            .map_or(0, |at| at + key[at..].chars().next().map_or(1, char::len_utf8))..];
        if !secrets.contains(&name) {
            continue;
        }
        let value = line[equals + 1..].trim_start();
        if !value.starts_with('{') {
            return Some(equals + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, marked: &str) -> String {
        let file = ProfileFile::from_text("m.toml", text);
        let start = text.find(marked).unwrap();
        let mut found = diagnostic_at(&file, start..start + marked.len(), &["password"]);
        found.message = "wrong".into();
        found.to_string()
    }

    #[test]
    fn the_range_is_marked() {
        let expected = "m.toml:2:5: wrong\n  2 | b = 22\n    |     ^^";
        assert_eq!(shown("a = 1\nb = 22\n", "22"), expected);
        let expected = "m.toml:1:9: wrong\n  1 | 'é' = [ 1,\n    |         ^^";
        assert_eq!(shown("'é' = [ 1,\n 2]\n", "1,\n 2"), expected);
        assert_eq!(shown("\tx = 1", "x"), "m.toml:1:2: wrong\n  1 | \tx = 1\n    | \t^");
    }

    #[test]
    fn secrets_are_masked() {
        let table = [
            ("password = \"hunter2\"", "hunter2", "password = ********"),
            ("\"password\" = 'hunter2'", "password", "\"password\" = ********"),
            ("x = { password = 'hunter2' }", "x", "x = { password = ********"),
            ("a.password='hunter2", "hunter2", "a.password= ********"),
            ("password = { env = \"A\" }", "env", "password = { env = \"A\" }"),
            ("password = \"\"\"\nhunter2\n\"\"\"", "hunter2", "********"),
            ("password = '''hunter2'''\nport = 1", "port", "port = 1"),
            ("password = '''\nhunter2\n'''\nport = 1", "port", "port = 1"),
            ("xpassword = \"hunter2\"", "hunter2", "xpassword = \"hunter2\""),
        ];
        for (text, marked, excerpt) in table {
            let shown = shown(text, marked);
            assert!(shown.contains(&format!(" | {excerpt}\n")), "{text}: {shown}");
        }
    }
}
