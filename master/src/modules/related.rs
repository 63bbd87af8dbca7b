//! The modules that an import of one module will load.
//!
//! Follows import statements from module to module. Pure: modules come from a function argument.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::error::ModuleError;
use super::imports::{Import, imports, parent};
use super::module_names::is_standard;
use super::source::Module;

/// The modules that are loaded with one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Related {
    /// What importing the module imports, without the module itself and the standard library. Packages are
    /// before their submodules, and other modules before those that import them, except in cycles.
    pub needed: Vec<String>,
    /// What the functions of these modules import, restricted to the same top-level packages; in the same
    /// order.
    pub deferred: Vec<String>,
    /// What would be imported and is not available: modules that the source does not have, or has in a form
    /// that cannot be sent. Sorted; without submodules of packages that are missing themselves.
    pub missing: Vec<String>,
}

/// The number of modules after which [`related`] stops; the child requests the others when it needs them.
pub const MAX_RELATED: usize = 2_000;

/// Finds the modules that importing `fullname` loads. `find` returns a module by name.
///
/// Imports inside `try` and `if` count like others. For `from package import name`, `package.name` counts
/// if the package has that submodule. An implicit relative import of Python 2 counts if no top-level
/// module has that name. Requests [`MAX_RELATED`] names at most, each
/// once, and none of the standard library.
pub fn related(fullname: &str, find: impl FnMut(&str) -> Result<Option<Module>, ModuleError>) -> Related {
    let mut walk = Walk {
        find,
        known: HashMap::new(),
        seen: HashSet::new(),
        order: Vec::new(),
        placed: HashSet::new(),
        missing: BTreeSet::new(),
        later: VecDeque::new(),
    };
    walk.visit(fullname, None);
    let needed = std::mem::take(&mut walk.order);
    let missing = std::mem::take(&mut walk.missing);
    let tops: HashSet<String> = needed.iter().map(|name| top(name).to_owned()).collect();
    while let Some((package, import)) = walk.later.pop_front() {
        if tops.contains(top(&import.module)) {
            for name in walk.targets(&package, &import) {
                walk.visit(&name, Some(&tops));
            }
        }
    }
    let others = |names: Vec<String>| names.into_iter().filter(|name| name != fullname).collect();
    Related { needed: others(needed), deferred: others(walk.order), missing: missing.into_iter().collect() }
}

/// What is known about a name.
#[derive(Clone)]
enum Known {
    /// The module was found.
    Found(Rc<Node>),
    /// The module does not exist, or cannot be sent.
    Missing,
    /// The limit was reached.
    NotRequested,
}

/// A module.
struct Node {
    imports: Vec<Import>,
    submodules: Option<Vec<String>>,
}

struct Walk<F> {
    find: F,
    known: HashMap<String, Known>,
    /// Modules that have been visited or are being visited.
    seen: HashSet<String>,
    /// Modules whose imports have all been visited, and their packages.
    order: Vec<String>,
    placed: HashSet<String>,
    missing: BTreeSet<String>,
    /// Imports inside functions, each with the package it is in.
    later: VecDeque<(String, Import)>,
}

/// A module whose imports are being visited.
struct Frame {
    name: String,
    targets: std::vec::IntoIter<String>,
}

impl<F: FnMut(&str) -> Result<Option<Module>, ModuleError>> Walk<F> {
    /// Visits everything that importing `name` imports, restricted to the top-level packages `within`.
    fn visit(&mut self, name: &str, within: Option<&HashSet<String>>) {
        let mut stack = Vec::new();
        stack.extend(self.enter(name.to_owned(), within));
        while let Some(frame) = stack.last_mut() {
            if let Some(target) = frame.targets.next() {
                stack.extend(self.enter(target, within));
            } else if let Some(done) = stack.pop() {
                // In a cycle, a submodule can be finished before its package.
                for name in prefixes(&done.name) {
                    if matches!(self.known.get(name), Some(Known::Found(_)))
                        && self.placed.insert(name.to_owned())
                    {
                        self.order.push(name.to_owned());
                    }
                }
            }
        }
    }

    fn enter(&mut self, name: String, within: Option<&HashSet<String>>) -> Option<Frame> {
        if within.is_some_and(|tops| !tops.contains(top(&name))) || self.seen.contains(&name) {
            return None;
        }
        let Known::Found(node) = self.lookup(&name) else { return None };
        self.seen.insert(name.clone());
        let mut targets: Vec<String> = parent(&name).map(str::to_owned).into_iter().collect();
        let package = if node.submodules.is_some() { &name } else { parent(&name).unwrap_or_default() };
        for import in &node.imports {
            if import.deferred {
                self.later.push_back((package.to_owned(), import.clone()));
            } else if within.is_none_or(|tops| tops.contains(top(&import.module))) {
                targets.extend(self.targets(package, import));
            }
        }
        Some(Frame { name, targets: targets.into_iter() })
    }

    /// The modules that an import statement in `package` loads, packages first. Records what is missing.
    fn targets(&mut self, package: &str, import: &Import) -> Vec<String> {
        let module = import.module.as_str();
        let is_external = is_standard(module) || top(module) == "__main__";
        if is_external || import.implicit && !self.is_implicit(package, module) {
            return Vec::new();
        }
        let mut targets = Vec::new();
        let mut members = None;
        for (depth, name) in prefixes(module).enumerate() {
            match self.lookup(name) {
                Known::Found(node) => {
                    members = node.submodules.clone();
                    targets.push(name.to_owned());
                }
                Known::Missing => {
                    // A module that is not a package can create submodules when it runs.
                    if depth == 0 || members.is_some() {
                        self.missing.insert(name.to_owned());
                    }
                    return targets;
                }
                Known::NotRequested => return targets,
            }
        }
        let members = members.unwrap_or_default();
        for name in import.names.iter().filter(|name| members.binary_search(name).is_ok()) {
            let member = format!("{module}.{name}");
            match self.lookup(&member) {
                Known::Found(_) => targets.push(member),
                Known::Missing => {
                    self.missing.insert(member);
                }
                Known::NotRequested => {}
            }
        }
        targets
    }

    /// Whether Python 2 would import this from `package`, and no top-level module has the name.
    fn is_implicit(&mut self, package: &str, module: &str) -> bool {
        let Some(plain) = module.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let is_member = match self.lookup(package) {
            Known::Found(node) => node.submodules.iter().flatten().any(|name| name == top(plain)),
            Known::Missing | Known::NotRequested => false,
        };
        is_member && !is_standard(plain) && !matches!(self.lookup(top(plain)), Known::Found(_))
    }

    fn lookup(&mut self, name: &str) -> Known {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.known.len() >= MAX_RELATED {
            return Known::NotRequested;
        }
        let known = match (self.find)(name) {
            Ok(Some(module)) => Known::Found(Rc::new(Node {
                imports: imports(&module.source, name, module.is_package()),
                submodules: module.submodules,
            })),
            // The reason is reported when the child requests the module.
            Ok(None) | Err(_) => Known::Missing,
        };
        self.known.insert(name.to_owned(), known.clone());
        known
    }
}

/// `a`, `a.b` and `a.b.c` of `a.b.c`.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(at, _)| at);
    dots.chain([name.len()]).filter_map(|end| name.get(..end))
}

fn top(name: &str) -> &str {
    name.split_once('.').map_or(name, |(top, _)| top)
}
