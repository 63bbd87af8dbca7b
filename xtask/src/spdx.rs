//! Licence expressions of crates: names joined by `AND`, `OR`, `WITH` and parentheses.

/// Whether allowed licences satisfy the expression. `AND` binds tighter than `OR`; the `/` of old crates means `OR`;
/// `A WITH B` is one name.
pub(crate) fn satisfied(expression: &str, is_allowed: impl Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words[..], is_allowed: &is_allowed };
    let value = parser.or()?;
    match parser.words {
        [] => Ok(value),
        [word, ..] => Err(format!("unexpected {word}")),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    is_allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn take(&mut self, wanted: &str) -> bool {
        let found = self.words.first() == Some(&wanted);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut value = self.and()?;
        while self.take("OR") {
            // Both sides are parsed, whatever the first one is.
            value |= self.and()?;
        }
        Ok(value)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut value = self.one()?;
        while self.take("AND") {
            value &= self.one()?;
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let value = self.or()?;
            return if self.take(")") { Ok(value) } else { Err("unclosed parenthesis".into()) };
        }
        let name = self.name()?;
        if self.take("WITH") {
            let exception = self.name()?;
            return Ok((self.is_allowed)(&format!("{name} WITH {exception}")));
        }
        Ok((self.is_allowed)(name))
    }

    fn name(&mut self) -> Result<&'a str, String> {
        match self.words {
            [name, rest @ ..] if !["AND", "OR", "WITH", "(", ")"].contains(name) => {
                self.words = rest;
                Ok(name)
            }
            _ => Err("expected a licence".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    fn check(expression: &str) -> Result<bool, String> {
        satisfied(expression, |name| ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].contains(&name))
    }

    #[test]
    fn expressions() {
        for (expression, wanted) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("(MIT OR GPL-3.0) AND Unicode-3.0", false),
            ("MIT OR GPL-3.0 AND Unicode-3.0", true),
            ("(MIT OR GPL-3.0) AND Apache-2.0", true),
        ] {
            assert_eq!(check(expression), Ok(wanted), "{expression}");
        }
        for expression in ["", "MIT OR", "(MIT", "MIT Apache-2.0", "AND"] {
            assert!(check(expression).is_err(), "{expression}");
        }
    }
}
