//! [`Python`]: the implementation of the trait `Runtime`.

use mitogen_core::runtime::{Boot, BootRequest, Feature, Runtime, RuntimeError, RuntimeModule};

use crate::exits::interpreter_exits;
use crate::{bundle, command, modules};

/// The name of the runtime.
const NAME: &str = "python";

/// Children that run this crate's runtime, under Python 2.7, or 3.6 and later.
///
/// ```
/// # mod mitogen { pub use {mitogen_core::connect::ChildSettings, mitogen_python::Python}; }
/// use mitogen::{ChildSettings, Python};
///
/// // A shell on the remote host finds an interpreter.
/// let any = ChildSettings::new(Python::new());
/// // This one, and no other.
/// let chosen = ChildSettings::new(Python::with_interpreter(["/opt/python3.12/bin/python3"]));
/// assert_eq!(chosen.runtime.name(), any.runtime.name());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Python {
    interpreter: Vec<String>,
}

impl Python {
    /// Lets a shell on the remote host find an interpreter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `interpreter`: a program and its first arguments, such as `["/usr/bin/env", "python3"]`.
    /// When it is empty, this is the same as [`Python::new`].
    pub fn with_interpreter<I>(interpreter: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self { interpreter: interpreter.into_iter().map(Into::into).collect() }
    }

    /// The interpreter and its first arguments; empty if a shell on the remote host finds one.
    pub fn interpreter(&self) -> &[String] {
        &self.interpreter
    }
}

impl Runtime for Python {
    fn name(&self) -> &str {
        NAME
    }

    fn boot(&self, request: &BootRequest<'_>) -> Result<Boot, RuntimeError> {
        let argv = command(&self.interpreter, request.process_title);
        let input = vec![bundle::runtime().clone()];
        Ok(Boot::new(argv).exits(interpreter_exits()).input(input, bundle::tail(request.config)))
    }

    fn requirements(&self, feature: Feature) -> Result<Vec<&str>, RuntimeError> {
        let module = match feature {
            Feature::Commands => "mitogen.command",
            Feature::Scripts => "mitogen.script",
            Feature::Files => "mitogen.files",
            Feature::Services => "mitogen.service",
            Feature::Children => "mitogen.parent",
            Feature::Sockets => "mitogen.dial",
            Feature::Copies => "mitogen.fork",
            Feature::ScopedCopies => "mitogen.scoped",
            Feature::Detach => "mitogen.detach",
            _ => return Err(RuntimeError::Unsupported { runtime: NAME.to_owned(), feature }),
        };
        Ok(modules::with_related(module))
    }

    fn module(&self, fullname: &str) -> Option<RuntimeModule> {
        if fullname == "mitogen" || fullname == "mitogen.core" {
            return Some(RuntimeModule::Preinstalled);
        }
        modules::embedded_module(fullname).map(|module| RuntimeModule::Shared(module.payload()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_modules_that_exist() {
        let python = Python::new();
        for feature in [
            Feature::Commands,
            Feature::Scripts,
            Feature::Files,
            Feature::Services,
            Feature::Children,
            Feature::Sockets,
            Feature::Copies,
            Feature::ScopedCopies,
            Feature::Detach,
        ] {
            let names = python.requirements(feature).expect("a feature of the runtime");
            assert!(!names.is_empty());
            for (index, name) in names.iter().enumerate() {
                let module = modules::embedded_module(name).unwrap_or_else(|| panic!("{name}"));
                assert!(
                    module.related.iter().all(|related| names[..index].contains(related)),
                    "{name} is sent before a module that it imports"
                );
            }
        }
    }

    #[test]
    fn modules_of_the_runtime_are_recognized() {
        let python = Python::new();
        assert_eq!(python.module("mitogen.core"), Some(RuntimeModule::Preinstalled));
        assert!(matches!(python.module("mitogen.parent"), Some(RuntimeModule::Shared(_))));
        assert_eq!(python.module("mitogen.unknown"), None);
        assert_eq!(python.module("os"), None);
    }
}
