//! Scanning the statements of a source for imports.

use mitogen_minify::{Token, decode};

use super::super::statements::{Event, events, is_main_guard};
use super::calls::{self, Loop};
use super::names::{ModuleScope, from_import, parent, plain_import};

/// An import in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// The absolute name of the module.
    pub module: String,
    /// The names in a `from` import, each an attribute or a submodule; `*` for all.
    pub names: Vec<String>,
    /// Whether it is in the body of a function, so that it does not run when the source is imported.
    pub deferred: bool,
    /// Whether it is in a block, other than a class, that may not run or whose failure may be expected.
    pub guarded: bool,
    /// Whether it is the implicit relative import that Python 2 tries before the absolute import, which
    /// is the previous one in the list.
    pub implicit: bool,
    /// The line of the statement, or of the call.
    pub line: usize,
}

/// The imports of a source in the order of the text: import statements, and calls of `__import__` and
/// `import_module` with a literal or the variable of a loop over literals. Relative names are resolved
/// for module `fullname`; those outside of the top-level package are left out.
///
/// Blocks that never run are skipped: those under `TYPE_CHECKING`, `False` or `0`, and under
/// `__name__ == "__main__"` in modules other than `__main__`. Their `else` is scanned.
///
/// Scanning ends at the first syntax error.
///
/// ```
/// use mitogen::modules::imports;
///
/// let found = imports(b"import json\nfrom . import helpers\n", "app.main", false);
/// assert!(found.iter().any(|import| import.module == "json" && !import.implicit));
/// assert!(found.iter().any(|import| import.module == "app" && import.names == ["helpers"]));
/// ```
pub fn imports(source: &[u8], fullname: &str, is_package: bool) -> Vec<Import> {
    let Ok(text) = decode(source) else { return Vec::new() };
    let (events, _) = events(&text);
    let mut scan = Scan {
        scope: ModuleScope {
            fullname,
            package: if is_package { fullname } else { parent(fullname).unwrap_or("") },
        },
        loops: Vec::new(),
        found: Vec::new(),
        absolute: false,
    };
    scan.run(&events);
    scan.found
}

/// What is known about the statements of a block.
#[derive(Clone, Copy, Default)]
struct Block {
    deferred: bool,
    guarded: bool,
    /// The block never runs.
    dead: bool,
    /// The `if` whose `elif` and `else` may follow in this block always runs its first branch.
    chain_is_over: bool,
}

struct Scan<'a, 't> {
    scope: ModuleScope<'a>,
    /// For each open block, the loop around it.
    loops: Vec<Option<Loop<'t>>>,
    found: Vec<Import>,
    /// Whether the source has `from __future__ import absolute_import`.
    absolute: bool,
}

impl<'t> Scan<'_, 't> {
    fn run(&mut self, events: &[Event<'t>]) {
        let mut around = None;
        let mut block = Block::default();
        let mut outer = Vec::new();
        let mut next = block;
        for event in events {
            match event {
                Event::Header(tokens) => {
                    next = self.enter(&mut block, tokens);
                    around = Loop::of(tokens);
                    if !block.dead {
                        self.calls(tokens, block);
                    }
                }
                Event::Simple(tokens) => {
                    if !block.dead {
                        self.simple(tokens, block);
                    }
                    next = block;
                }
                Event::Open => {
                    self.loops.push(around.take());
                    outer.push(std::mem::replace(&mut block, Block { chain_is_over: false, ..next }));
                }
                Event::Close(_) => {
                    self.loops.pop();
                    block = outer.pop().unwrap_or_default();
                    next = block;
                }
            }
        }
    }

    /// The state of the block that a header opens.
    fn enter(&self, block: &mut Block, header: &[Token<'_>]) -> Block {
        let mut inner = Block { guarded: true, ..*block };
        let keyword = header.first().map_or("", |token| token.text);
        let second = header.get(1).map_or("", |token| token.text);
        match keyword {
            "def" => inner = Block { deferred: true, ..*block },
            "async" if second == "def" => inner = Block { deferred: true, ..*block },
            "class" => inner = *block,
            "if" | "elif" => {
                let is_over = keyword == "elif" && block.chain_is_over;
                let condition = self.condition(header);
                block.chain_is_over = is_over || condition == Some(true);
                inner.dead |= is_over || condition == Some(false);
            }
            "else" => {
                inner.dead |= block.chain_is_over;
                block.chain_is_over = false;
            }
            _ => block.chain_is_over = false,
        }
        inner
    }

    /// The value of the condition of an `if` when this module is imported, if it is known.
    fn condition(&self, header: &[Token<'_>]) -> Option<bool> {
        let [_, condition @ .., _colon] = header else { return None };
        let is_false = |condition: &[Token<'_>]| match condition {
            [name] => matches!(name.text, "TYPE_CHECKING" | "False" | "0"),
            [_, dot, name] => dot.text == "." && name.text == "TYPE_CHECKING",
            _ => false,
        };
        match condition {
            [not, rest @ ..] if not.text == "not" => is_false(rest).then_some(true),
            _ if is_false(condition) => Some(false),
            _ if self.scope.fullname != "__main__" && is_main_guard(header) => Some(false),
            _ => None,
        }
    }

    fn simple(&mut self, tokens: &[Token<'t>], block: Block) {
        let Some((first, rest)) = tokens.split_first() else { return };
        match first.text {
            "import" => {
                for module in plain_import(rest) {
                    self.push(module.clone(), Vec::new(), block, first.line);
                    self.push_implicit(&module, &[]);
                }
            }
            "from" => {
                let Some(import) = from_import(rest) else { return };
                if import.level > 0 {
                    if let Some(module) = self.scope.resolve(import.level, &import.module) {
                        self.push(module, import.names, block, first.line);
                    }
                    return;
                }
                self.absolute |= import.module == "__future__"
                    && import.names.iter().any(|name| name == "absolute_import");
                self.push(import.module.clone(), import.names.clone(), block, first.line);
                self.push_implicit(&import.module, &import.names);
            }
            _ => self.calls(tokens, block),
        }
    }

    fn calls(&mut self, tokens: &[Token<'t>], block: Block) {
        for call in calls::of(tokens, &self.loops) {
            let Some(module) = call.module(&self.scope) else { continue };
            let block = Block { deferred: block.deferred || call.in_lambda, ..block };
            self.push(module.clone(), call.names.clone(), block, call.line);
            if call.may_be_implicit() {
                self.push_implicit(&module, &call.names);
            }
        }
    }

    fn push(&mut self, module: String, names: Vec<String>, block: Block, line: usize) {
        let Block { deferred, guarded, .. } = block;
        self.found.push(Import { module, names, deferred, guarded, implicit: false, line });
    }

    /// Adds the implicit relative import of Python 2 after the absolute import.
    fn push_implicit(&mut self, module: &str, names: &[String]) {
        if self.absolute || self.scope.package.is_empty() || module == "__future__" {
            return;
        }
        let Some(last) = self.found.last() else { return };
        let module = format!("{}.{module}", self.scope.package);
        let implicit = Import { module, names: names.to_vec(), implicit: true, ..*last };
        self.found.push(implicit);
    }
}
