//! What a module will ask for once it is imported.
//!
//! Follows imports through the modules of a source. Pure: all it knows comes from the given function.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::imports::{Import, imports, parent};
use super::source::{Module, ModuleError};
use super::stdlib::is_standard;

/// The modules that belong to one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Related {
    /// What is imported when the module is, itself and the standard library left out: packages before
    /// their members, and otherwise modules before those that import them as far as cycles allow.
    pub needed: Vec<String>,
    /// What its functions and those of the needed modules import in turn, as far as it is in the same
    /// top-level packages; in the same order.
    pub deferred: Vec<String>,
    /// What would be imported as well and cannot be had: the source does not have it, or has it in a
    /// form that cannot be sent (then it says why when it is asked). Of names within one another only
    /// the outermost; no member of a package that the source does not have. Sorted.
    pub missing: Vec<String>,
}

/// How many names [`related`] asks for before it leaves the rest to be asked for by the child.
pub const MOST_RELATED: usize = 2_000;

/// Finds what belongs to module `fullname` in the source that `find` asks.
///
/// Imports in `try` and `if` count as those outside do. Of `from package import name`, `package.name`
/// counts if the package has such a member. What only Python 2 would import, from the module's own
/// package, counts if there is nothing of the plain name. Asks for [`MOST_RELATED`] names at most, each
/// once, and for none of the standard library.
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

/// What was found out about a name.
#[derive(Clone)]
enum Known {
    /// It is there.
    Have(Rc<Node>),
    /// It is not, or cannot be sent.
    Lacking,
    /// The bound was reached.
    NotAsked,
}

/// A module.
struct Node {
    imports: Vec<Import>,
    submodules: Option<Vec<String>>,
}

struct Walk<F> {
    find: F,
    known: HashMap<String, Known>,
    /// The modules that were or are being visited.
    seen: HashSet<String>,
    /// Those whose imports were all visited, and their packages.
    order: Vec<String>,
    placed: HashSet<String>,
    missing: BTreeSet<String>,
    /// Imports of functions, each with the package that it is in.
    later: VecDeque<(String, Import)>,
}

/// A module whose imports are being visited.
struct Frame {
    name: String,
    targets: std::vec::IntoIter<String>,
}

impl<F: FnMut(&str) -> Result<Option<Module>, ModuleError>> Walk<F> {
    /// Goes through all that importing `name` imports; only `within` these top-level packages.
    fn visit(&mut self, name: &str, within: Option<&HashSet<String>>) {
        let mut stack = Vec::new();
        stack.extend(self.enter(name.to_owned(), within));
        while let Some(frame) = stack.last_mut() {
            if let Some(target) = frame.targets.next() {
                stack.extend(self.enter(target, within));
            } else if let Some(done) = stack.pop() {
                // In a cycle a member may be done before its package.
                for name in prefixes(&done.name) {
                    if matches!(self.known.get(name), Some(Known::Have(_)))
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
        let Known::Have(node) = self.look(&name) else { return None };
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

    /// The modules of the source that an import in `package` loads, packages first. Notes what the
    /// source lacks.
    fn targets(&mut self, package: &str, import: &Import) -> Vec<String> {
        let module = import.module.as_str();
        let is_others = is_standard(module) || top(module) == "__main__";
        if is_others || import.implicit && !self.is_implicit(package, module) {
            return Vec::new();
        }
        let mut targets = Vec::new();
        let mut members = None;
        for (depth, name) in prefixes(module).enumerate() {
            match self.look(name) {
                Known::Have(node) => {
                    members = node.submodules.clone();
                    targets.push(name.to_owned());
                }
                Known::Lacking => {
                    // A module that is no package may still have members, made as it runs.
                    if depth == 0 || members.is_some() {
                        self.missing.insert(name.to_owned());
                    }
                    return targets;
                }
                Known::NotAsked => return targets,
            }
        }
        let members = members.unwrap_or_default();
        for name in import.names.iter().filter(|name| members.binary_search(name).is_ok()) {
            let member = format!("{module}.{name}");
            match self.look(&member) {
                Known::Have(_) => targets.push(member),
                Known::Lacking => {
                    self.missing.insert(member);
                }
                Known::NotAsked => {}
            }
        }
        targets
    }

    /// Whether Python 2 would find this in `package`, and nothing speaks for the plain name.
    fn is_implicit(&mut self, package: &str, module: &str) -> bool {
        let Some(plain) = module.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let is_member = match self.look(package) {
            Known::Have(node) => node.submodules.iter().flatten().any(|name| name == top(plain)),
            Known::Lacking | Known::NotAsked => false,
        };
        is_member && !is_standard(plain) && !matches!(self.look(top(plain)), Known::Have(_))
    }

    fn look(&mut self, name: &str) -> Known {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.known.len() >= MOST_RELATED {
            return Known::NotAsked;
        }
        let known = match (self.find)(name) {
            Ok(Some(module)) => Known::Have(Rc::new(Node {
                imports: imports(&module.source, name, module.is_package()),
                submodules: module.submodules,
            })),
            // Why it cannot be sent, the source says to who asks for it.
            Ok(None) | Err(_) => Known::Lacking,
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
