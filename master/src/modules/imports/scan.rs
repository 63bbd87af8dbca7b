//! The walk over a source's statements.

use mitogen_minify::{Token, decode};

use super::super::statements::{Event, events, is_main_guard};
use super::calls::{self, Loop};
use super::names::{Place, from_import, parent, plain_import};

/// An import that a source makes, or may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module's absolute name.
    pub module: String,
    /// What a `from` import takes from it, each an attribute or a submodule; `*` for all.
    pub names: Vec<String>,
    /// Whether it is in the body of a function: then it is not needed to import the source itself.
    pub deferred: bool,
    /// Whether it is in a block that may not run, or whose failure may be expected: any but a class.
    pub guarded: bool,
    /// Whether it is what Python 2 looks for before the import that stands before this one in the
    /// list: a module of the same package.
    pub implicit: bool,
    /// The line of the statement's first word, or of the call.
    pub line: usize,
}

/// The imports of a source, in its order: statements, and calls of `__import__` and `import_module`
/// with literal names, or the variable of a loop over literals. Relative names are resolved for module `fullname`; those that lead out of the
/// top-level package are left out.
///
/// Left out is what no run of the program imports: blocks under `TYPE_CHECKING`, `False` or `0`, and,
/// for other modules than `__main__`, under `__name__ == "__main__"`. Their `else` counts.
///
/// A source that is not Python gives what stands before its first fault.
pub fn imports(source: &[u8], fullname: &str, is_package: bool) -> Vec<Import> {
    let Ok(text) = decode(source) else { return Vec::new() };
    let (events, _) = events(&text);
    let mut scan = Scan {
        place: Place {
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

/// What is known of the statements in a block.
#[derive(Clone, Copy, Default)]
struct Block {
    deferred: bool,
    guarded: bool,
    /// It never runs.
    dead: bool,
    /// The `if` whose `elif` and `else` may follow in this block always runs its first branch.
    chain_is_over: bool,
}

struct Scan<'a, 't> {
    place: Place<'a>,
    /// For each open block the loop that it is the body of.
    loops: Vec<Option<Loop<'t>>>,
    found: Vec<Import>,
    /// Whether the source has said that its imports are absolute in Python 2 as well.
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

    /// The block that a header opens.
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

    /// What the condition of an `if` is whenever this module is imported, where that is clear.
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
            _ if self.place.fullname != "__main__" && is_main_guard(header) => Some(false),
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
                    if let Some(module) = self.place.resolve(import.level, &import.module) {
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
            let Some(module) = call.module(&self.place) else { continue };
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

    /// After the absolute import, what Python 2 would try before it.
    fn push_implicit(&mut self, module: &str, names: &[String]) {
        if self.absolute || self.place.package.is_empty() || module == "__future__" {
            return;
        }
        let Some(last) = self.found.last() else { return };
        let module = format!("{}.{module}", self.place.package);
        let implicit = Import { module, names: names.to_vec(), implicit: true, ..*last };
        self.found.push(implicit);
    }
}
