//! Files and the imports between them, and the circles in that.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::Crate;

/// For each file the files that it imports from, each with the first line that does so and what it names.
#[derive(Debug)]
pub(super) struct Graph {
    edges: Vec<BTreeMap<usize, (usize, String)>>,
}

impl Graph {
    /// The imports between the files of a crate.
    pub(super) fn of(krate: &Crate) -> Self {
        let mut edges = vec![BTreeMap::new(); krate.files.len()];
        for (number, module) in krate.modules.iter().enumerate() {
            for used in &module.uses {
                for file in krate.definers(number, &used.path) {
                    if file != module.file {
                        let evidence = (used.line, used.path.join("::"));
                        let known = edges[module.file].entry(file).or_insert_with(|| evidence.clone());
                        if evidence.0 < known.0 {
                            *known = evidence;
                        }
                    }
                }
            }
        }
        Self { edges }
    }

    /// Groups of files that all reach each other (Tarjan's strongly connected components), without single files.
    pub(super) fn circles(&self) -> Vec<Vec<usize>> {
        let mut search = Search {
            graph: self,
            index: vec![None; self.edges.len()],
            low: vec![0; self.edges.len()],
            stack: Vec::new(),
            next: 0,
            found: Vec::new(),
        };
        for file in 0..self.edges.len() {
            if search.index[file].is_none() {
                search.visit(file);
            }
        }
        search.found.retain(|circle| circle.len() > 1);
        search.found.iter_mut().for_each(|circle| circle.sort_unstable());
        search.found.sort();
        search.found
    }

    /// A circle as text: one line for each import inside it.
    pub(super) fn describe(&self, circle: &[usize], krate: &Crate, root: &Path) -> String {
        let name = |file: usize| {
            let path = &krate.files[file];
            path.strip_prefix(root).unwrap_or(path).display().to_string()
        };
        let mut text = format!("circle of {} files", circle.len());
        for &from in circle {
            for (&to, (line, path)) in self.edges[from].iter().filter(|(to, _)| circle.contains(to)) {
                text += &format!("\n  {}:{line} -> {} ({path})", name(from), name(to));
            }
        }
        text
    }
}

struct Search<'a> {
    graph: &'a Graph,
    index: Vec<Option<usize>>,
    low: Vec<usize>,
    stack: Vec<usize>,
    next: usize,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    fn visit(&mut self, file: usize) {
        let own = self.next;
        self.next += 1;
        self.index[file] = Some(own);
        self.low[file] = own;
        self.stack.push(file);
        for &to in self.graph.edges[file].keys() {
            match self.index[to] {
                None => {
                    self.visit(to);
                    self.low[file] = self.low[file].min(self.low[to]);
                }
                Some(index) if self.stack.contains(&to) => self.low[file] = self.low[file].min(index),
                Some(_) => {}
            }
        }
        if self.low[file] == own
            && let Some(at) = self.stack.iter().position(|&other| other == file)
        {
            self.found.push(self.stack.split_off(at));
        }
    }
}
