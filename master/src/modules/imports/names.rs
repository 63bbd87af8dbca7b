//! The two import statements, and what relative names mean.

use mitogen_minify::{Token, TokenKind};

/// The module that a source is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) fullname: &'a str,
    /// The package that its relative imports start from: itself if it is one. Empty for none.
    pub(super) package: &'a str,
}

impl Place<'_> {
    /// The absolute name of `module` with `level` dots before it.
    pub(super) fn resolve(&self, level: usize, module: &str) -> Option<String> {
        resolve(self.package, level, module)
    }
}

/// As [`Place::resolve`], from a package that is named; `None` for what leads out of all packages.
pub(super) fn resolve(package: &str, level: usize, module: &str) -> Option<String> {
    let mut base = Some(package).filter(|package| !package.is_empty());
    for _ in 1..level {
        base = base.and_then(parent);
    }
    let base = base?;
    Some(if module.is_empty() { base.to_owned() } else { format!("{base}.{module}") })
}

/// The package that a module is in.
pub(in super::super) fn parent(fullname: &str) -> Option<&str> {
    fullname.rsplit_once('.').map(|(parent, _)| parent)
}

/// The modules of `import a, b.c as d`, given what is after `import`; as far as it is right.
pub(super) fn plain_import(mut tokens: &[Token<'_>]) -> Vec<String> {
    let mut modules = Vec::new();
    while let Some((module, rest)) = dotted(tokens) {
        modules.push(module);
        match after_alias(rest) {
            [comma, rest @ ..] if comma.text == "," => tokens = rest,
            _ => break,
        }
    }
    modules
}

/// What a `from` import says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FromImport {
    pub(super) level: usize,
    pub(super) module: String,
    pub(super) names: Vec<String>,
}

/// Of `from ..a.b import (c as d, e)`, given what is after `from`; `None` for what is no import.
pub(super) fn from_import(mut tokens: &[Token<'_>]) -> Option<FromImport> {
    let mut level = 0;
    while let Some((dots, rest)) = tokens.split_first()
        && matches!(dots.text, "." | "...")
    {
        level += dots.text.len();
        tokens = rest;
    }
    let is_bare = tokens.first().is_some_and(|token| token.text == "import");
    let (module, rest) = if level > 0 && is_bare { (String::new(), tokens) } else { dotted(tokens)? };
    let (import, mut tokens) = rest.split_first()?;
    if import.text != "import" {
        return None;
    }
    if let [open, rest @ ..] = tokens
        && open.text == "("
    {
        tokens = rest;
    }
    let mut names = Vec::new();
    while let [name, rest @ ..] = tokens
        && (name.kind == TokenKind::Name || name.text == "*")
    {
        names.push(name.text.to_owned());
        match after_alias(rest) {
            [comma, rest @ ..] if comma.text == "," => tokens = rest,
            _ => break,
        }
    }
    Some(FromImport { level, module, names })
}

/// A dotted name at the beginning, and what is after it.
fn dotted<'s, 'a>(tokens: &'s [Token<'a>]) -> Option<(String, &'s [Token<'a>])> {
    let (first, mut tokens) = tokens.split_first()?;
    if first.kind != TokenKind::Name || first.text == "import" {
        return None;
    }
    let mut name = first.text.to_owned();
    while let [dot, part, rest @ ..] = tokens
        && dot.text == "."
        && part.kind == TokenKind::Name
    {
        name.push('.');
        name.push_str(part.text);
        tokens = rest;
    }
    Some((name, tokens))
}

fn after_alias<'s, 'a>(tokens: &'s [Token<'a>]) -> &'s [Token<'a>] {
    match tokens {
        [word, _alias, rest @ ..] if word.text == "as" => rest,
        _ => tokens,
    }
}
