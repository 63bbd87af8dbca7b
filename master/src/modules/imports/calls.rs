//! Imports by function calls: `__import__("a.b")`, `importlib.import_module(".x", __package__)`.

use mitogen_minify::Token;

use super::super::statements::literal;
use super::names::{ModuleScope, resolve};

/// A call with a literal name.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    function: Function,
    /// The name with its leading dots.
    name: &'a str,
    base: Base<'a>,
    /// The list of names of an `__import__`.
    pub(super) names: Vec<String>,
    /// Whether the call is in the body of a lambda.
    pub(super) in_lambda: bool,
    pub(super) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Import,
    ImportModule,
}

/// What a relative name is relative to.
#[derive(Clone, Copy, Debug)]
enum Base<'a> {
    /// Not specified.
    None,
    /// `__package__`.
    Package,
    /// `__name__`.
    Name,
    /// A literal.
    Literal(&'a str),
    /// A number of packages up, for `__import__`.
    Level(usize),
}

impl Call<'_> {
    /// The absolute name of the module; `None` if it is not known.
    pub(super) fn module(&self, place: &ModuleScope<'_>) -> Option<String> {
        let module = self.name.trim_start_matches('.');
        let level = self.name.len() - module.len();
        match (self.function, self.base) {
            (Function::Import, Base::Level(level)) if level > 0 => place.resolve(level, module),
            (Function::Import, _) => (level == 0).then(|| module.to_owned()),
            (Function::ImportModule, _) if level == 0 => Some(module.to_owned()),
            (Function::ImportModule, Base::Package) => place.resolve(level, module),
            (Function::ImportModule, Base::Name) => resolve(place.fullname, level, module),
            (Function::ImportModule, Base::Literal(package)) => resolve(package, level, module),
            (Function::ImportModule, Base::None | Base::Level(_)) => None,
        }
    }

    /// Whether Python 2 searches the package of the source first.
    pub(super) fn may_be_implicit(&self) -> bool {
        self.function == Function::Import && matches!(self.base, Base::None)
    }
}

/// A loop over literals that contains a statement: `for name in ("a", "b"):`.
pub(super) struct Loop<'a> {
    variable: &'a str,
    values: Vec<&'a str>,
}

impl<'a> Loop<'a> {
    /// Parses a header; `None` for other loops and other statements.
    pub(super) fn of(header: &[Token<'a>]) -> Option<Self> {
        let [keyword, variable, word, values @ .., _colon] = header else { return None };
        if keyword.text != "for" || word.text != "in" {
            return None;
        }
        let values = match values {
            [open, inner @ .., close] if matches!((open.text, close.text), ("(", ")") | ("[", "]")) => inner,
            _ => values,
        };
        let values = match values {
            [values @ .., comma] if comma.text == "," => values,
            _ => values,
        };
        let parts = values.split(|token| token.text == ",");
        let values: Option<Vec<_>> = parts.map(|part| part.first().filter(|_| part.len() == 1)).collect();
        let values: Option<Vec<_>> = values?.into_iter().map(literal).collect();
        Some(Self { variable: variable.text, values: values? })
    }
}

/// The calls in a statement or a header. `loops` are the loops around it, the innermost last.
pub(super) fn of<'a>(tokens: &[Token<'a>], loops: &[Option<Loop<'a>>]) -> Vec<Call<'a>> {
    let mut calls = Vec::new();
    let mut depth = 0_usize;
    // For each lambda around the token, its depth and whether its colon has been read.
    let mut lambdas: Vec<(usize, bool)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "lambda" => lambdas.push((depth, false)),
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                lambdas.retain(|&(at, _)| at <= depth);
            }
            "," => lambdas.retain(|&(at, is_body)| at < depth || !is_body),
            ":" => {
                if let Some((_, is_body)) = lambdas.iter_mut().rev().find(|(at, _)| *at == depth) {
                    *is_body = true;
                }
            }
            "__import__" | "import_module" => {
                let is_definition = index > 0 && tokens.get(index - 1).is_some_and(|last| last.text == "def");
                let in_lambda = lambdas.iter().any(|&(_, is_body)| is_body);
                if !is_definition {
                    calls.extend(call(tokens.get(index..).unwrap_or_default(), in_lambda, loops));
                }
            }
            _ => {}
        }
    }
    calls
}

/// The call that begins here, once for each name that it is made with.
fn call<'a>(tokens: &[Token<'a>], in_lambda: bool, loops: &[Option<Loop<'a>>]) -> Vec<Call<'a>> {
    let [function, open, rest @ ..] = tokens else { return Vec::new() };
    if open.text != "(" {
        return Vec::new();
    }
    let is_import = function.text == "__import__";
    let arguments = arguments(rest);
    let (name, more) = match arguments.as_slice() {
        [[name], more @ ..] => (name, more),
        [[keyword, equals, name], more @ ..] if keyword.text == "name" && equals.text == "=" => (name, more),
        _ => return Vec::new(),
    };
    let around = || loops.iter().rev().flatten().find(|around| around.variable == name.text);
    let names = match literal(name) {
        Some(name) => vec![name],
        None => around().map(|around| around.values.clone()).unwrap_or_default(),
    };
    let mut call = Call {
        function: if is_import { Function::Import } else { Function::ImportModule },
        name: "",
        base: Base::None,
        names: Vec::new(),
        in_lambda,
        line: function.line,
    };
    for (position, argument) in (1..).zip(more) {
        let (keyword, value) = match *argument {
            [keyword, equals, value @ ..] if equals.text == "=" => (keyword.text, value),
            value => (positional(is_import, position), value),
        };
        match (keyword, value) {
            ("package", [value]) => {
                call.base = match (value.text, literal(value)) {
                    (_, Some(package)) => Base::Literal(package),
                    ("__package__", None) => Base::Package,
                    ("__name__", None) => Base::Name,
                    _ => Base::None,
                }
            }
            ("level", [number]) => call.base = number.text.parse().map_or(Base::None, Base::Level),
            ("fromlist", list) => {
                call.names = list.iter().filter_map(literal).map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    names.into_iter().filter(|name| is_dotted(name)).map(|name| Call { name, ..call.clone() }).collect()
}

fn positional(is_import: bool, position: usize) -> &'static str {
    match (is_import, position) {
        (true, 3) => "fromlist",
        (true, 4) => "level",
        (false, 1) => "package",
        _ => "",
    }
}

/// Parses the arguments of a call, after the opening bracket.
fn arguments<'s, 'a>(tokens: &'s [Token<'a>]) -> Vec<&'s [Token<'a>]> {
    let mut arguments = Vec::new();
    let (mut begin, mut depth) = (0, 0_usize);
    for (index, token) in tokens.iter().enumerate() {
        let is_end = match token.text {
            "(" | "[" | "{" => {
                depth += 1;
                false
            }
            ")" | "]" | "}" if depth > 0 => {
                depth -= 1;
                false
            }
            ")" | "," => depth == 0,
            _ => false,
        };
        if is_end {
            arguments.extend(tokens.get(begin..index).filter(|argument| !argument.is_empty()));
            begin = index + 1;
            if token.text == ")" {
                break;
            }
        }
    }
    arguments
}

/// Whether a string is the name of a module, possibly with leading dots.
fn is_dotted(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
    name.trim_start_matches('.').split('.').all(is_part)
}
