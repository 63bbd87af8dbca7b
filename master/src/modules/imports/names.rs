//! Parsing the two import statements, and resolving relative names.

use mitogen_minify::{Token, TokenKind};

/// The module that contains a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModuleScope<'a> {
    pub(super) fullname: &'a str,
    /// The package that relative imports start from: the module itself if it is a package. Empty for none.
    pub(super) package: &'a str,
}

impl ModuleScope<'_> {
    /// The absolute name of `module` with `level` leading dots.
    pub(super) fn resolve(&self, level: usize, module: &str) -> Option<String> {
        resolve(self.package, level, module)
    }
}

/// As [`ModuleScope::resolve`], from the given package; `None` for a name outside of the top-level package.
pub(super) fn resolve(package: &str, level: usize, module: &str) -> Option<String> {
    let mut base = Some(package).filter(|package| !package.is_empty());
    for _ in 1..level {
        base = base.and_then(parent);
    }
    let base = base?;
    Some(if module.is_empty() { base.to_owned() } else { format!("{base}.{module}") })
}

/// The package that contains a module.
pub(in super::super) fn parent(fullname: &str) -> Option<&str> {
    fullname.rsplit_once('.').map(|(parent, _)| parent)
}

/// The modules of `import a, b.c as d`, given the tokens after `import`, up to the first error.
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

/// A `from` import.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FromImport {
    pub(super) level: usize,
    pub(super) module: String,
    pub(super) names: Vec<String>,
}

/// Parses `from ..a.b import (c as d, e)`, given the tokens after `from`; `None` for other statements.
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

/// Splits off a dotted name at the beginning.
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
