//! Collecting the errors and warnings about a profile file.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use mitogen_core::connect::{Registry, TransportKind};

use super::super::diagnostic::{Diagnostic, Diagnostics, Origin};
use super::super::options::Fault;
use super::super::profile_file::ProfileFile;
use super::excerpt::diagnostic_at;

/// Collects everything that is wrong with a file, so that all errors are reported at once.
pub(super) struct Checker<'a> {
    pub(super) file: &'a ProfileFile,
    pub(super) registry: &'a Registry,
    /// Transports of this file that have errors. Errors of the profiles that use them would only follow from those.
    broken: BTreeSet<String>,
    /// Whether any unknown transport may be one that could not be loaded.
    incomplete: bool,
    path: Arc<Path>,
    /// Keys whose values are masked.
    secrets: Vec<&'a str>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        file: &'a ProfileFile,
        registry: &'a Registry,
        broken: BTreeSet<String>,
        incomplete: bool,
    ) -> Self {
        let mut secrets = vec!["password", "passphrase"];
        secrets.extend(
            registry
                .iter()
                .flat_map(TransportKind::options)
                .filter(|spec| spec.is_secret())
                .map(|spec| spec.name.as_str()),
        );
        let path = file.path().into();
        Self { file, registry, broken, incomplete, path, secrets, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The warnings, or all errors if there are any.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        if self.errors.is_empty() { Ok(sorted(self.warnings)) } else { Err(Diagnostics(sorted(self.errors))) }
    }

    /// Whether `method`, which is not known, is or may be a transport of this file that has errors.
    pub(super) fn is_broken(&self, method: &str) -> bool {
        self.incomplete || self.broken.contains(method)
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Adds an error about `span` and, if it is about a key, the full name of that.
    pub(super) fn report(&mut self, span: Range<usize>, key: Option<String>, fault: Fault) {
        let diagnostic = self.diagnostic(span, key, fault);
        self.errors.push(diagnostic);
    }

    /// Adds a warning, as [`Checker::report`] adds an error.
    pub(super) fn warn(&mut self, span: Range<usize>, key: Option<String>, fault: Fault) {
        let diagnostic = self.diagnostic(span, key, fault);
        self.warnings.push(diagnostic);
    }

    fn diagnostic(&self, span: Range<usize>, key: Option<String>, fault: Fault) -> Diagnostic {
        let mut diagnostic = diagnostic_at(self.file, span, &self.secrets);
        diagnostic.key = key;
        diagnostic.message = fault.message;
        diagnostic.hint = fault.hint;
        diagnostic
    }

    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File { path: Arc::clone(&self.path), line: self.file.position(span.start).line }
    }
}

/// Sorts by position and removes repetitions.
fn sorted(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    found.dedup_by(|a, b| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
    found
}
