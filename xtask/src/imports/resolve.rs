//! From a path in the code to the file that defines what it names.

use super::source::{Crate, Definition};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Module(usize),
    /// Something that is defined in this module: an item, or a name from outside that the module imports.
    Item(usize),
}

impl Crate {
    /// The files that define what `path`, in the code of `module`, names; none for modules and for other crates.
    pub(super) fn definers(&self, module: usize, path: &[String]) -> Vec<usize> {
        let mut files: Vec<usize> = self
            .resolve(module, path, &mut Vec::new())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|target| match target {
                Target::Item(module) => Some(self.modules[module].file),
                Target::Module(_) => None,
            })
            .collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Where a path leads; `None` when it leads out of the crate.
    ///
    /// `open` holds the names that are being looked up, since imports may go round in circles.
    fn resolve(
        &self,
        module: usize,
        path: &[String],
        open: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let (first, mut rest) = path.split_first()?;
        let mut targets = match first.as_str() {
            "crate" | "$crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(module)],
            "super" => vec![Target::Module(self.modules[module].parent?)],
            name => match self.look_up(module, name, open) {
                found if !found.is_empty() => found,
                _ if name == self.name => vec![Target::Module(0)],
                _ => return None,
            },
        };
        while let Some((name, after)) = rest.split_first() {
            rest = after;
            // A module and a function may have one name; only the module has a path behind it.
            if targets.iter().any(|target| matches!(target, Target::Module(_))) {
                targets.retain(|target| matches!(target, Target::Module(_)));
            }
            targets = targets
                .into_iter()
                .flat_map(|target| match target {
                    Target::Module(module) if name == "super" => {
                        self.modules[module].parent.map(Target::Module).into_iter().collect()
                    }
                    Target::Module(module) if name == "self" => vec![Target::Module(module)],
                    Target::Module(module) => self.look_up(module, name, open),
                    // A variant, a method, an associated type.
                    Target::Item(_) => vec![target],
                })
                .collect();
        }
        Some(targets)
    }

    /// What a name means in a module.
    fn look_up(&self, module: usize, name: &str, open: &mut Vec<(usize, String)>) -> Vec<Target> {
        let question = (module, name.to_owned());
        if open.contains(&question) {
            // `use limits::limits;` is about the module of that name.
            return self.defined(module, name);
        }
        open.push(question);
        let mut found = self.defined(module, name);
        for definition in self.modules[module].names.get(name).into_iter().flatten() {
            // A file that takes an external name from here depends on the import in this file.
            if let Definition::Import(path) = definition {
                found.extend(self.resolve(module, path, open).unwrap_or(vec![Target::Item(module)]));
            }
        }
        if found.is_empty() {
            for glob in &self.modules[module].globs {
                for target in self.resolve(module, glob, open).unwrap_or_default() {
                    match target {
                        Target::Module(number) => found.extend(self.look_up(number, name, open)),
                        Target::Item(number) if self.has_variant(number, glob.last(), name) => {
                            found.push(target);
                        }
                        Target::Item(_) => {}
                    }
                }
            }
        }
        open.pop();
        found
    }

    /// What the module itself defines under a name.
    fn defined(&self, module: usize, name: &str) -> Vec<Target> {
        let definitions = self.modules[module].names.get(name).into_iter().flatten();
        let target = |definition: &Definition| match definition {
            Definition::Module(number) => Some(Target::Module(*number)),
            Definition::Item(_) => Some(Target::Item(module)),
            Definition::Import(_) => None,
        };
        definitions.filter_map(target).collect()
    }

    fn has_variant(&self, module: usize, name: Option<&String>, variant: &str) -> bool {
        let definitions = name.and_then(|name| self.modules[module].names.get(name)).into_iter().flatten();
        definitions.into_iter().any(|definition| {
            matches!(definition, Definition::Item(variants) if variants.iter().any(|known| known == variant))
        })
    }
}
