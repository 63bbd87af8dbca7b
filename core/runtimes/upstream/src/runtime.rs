//! [`Upstream`]: upstream's core as a runtime.

use std::sync::Arc;

use mitogen_core::runtime::{Boot, BootRequest, Feature, Runtime, RuntimeError, RuntimeModule};
use mitogen_python::{first_stage_arguments, interpreter_exits, with_interpreter};

use crate::UpstreamPackage;

/// The name of the runtime.
const NAME: &str = "upstream";

/// The first stage. Its arguments are the preamble's size in bytes and a name for process lists.
///
/// A forked process keeps the core's source for the time when the child becomes a parent itself: it
/// writes to descriptor 101, from which the core reads, and is the process that the core waits for.
pub const FIRST_STAGE: &str = concat!(
    r#"import sys;sys.path=[p for p in sys.path if p[:1]=="/"];import os,select,zlib;"#,
    r#"os.write(1,("MITO000"+chr(10)).encode());n=int(sys.argv[1]);b=bytearray();"#,
    r#"[b.extend(os.read(0,n-len(b))or sys.exit(1))for _ in "#,
    r#"iter(lambda:len(b)<n and select.select([0],[],[]),False)];b=zlib.decompress(bytes(b));"#,
    r#"r,w=os.pipe();w=os.fdopen(w,"wb");os.fork()or(os.close(r),w.write(b),w.close(),"#,
    r#"os.write(1,("MITO001"+chr(10)).encode()),os._exit(0));w.close();"#,
    r#"os.dup2(0,100);os.dup2(r,101);os.close(r);r=os.open(os.devnull,0);os.dup2(r,0);os.close(r);"#,
    r#"b=compile(b,"mitogen/core.py","exec");os.environ["ARGV0"]=sys.executable;sys.argv=[""];"#,
    r#"del n,r,w;exec(b)"#,
);

/// Children that run the core of the user's copy of Python Mitogen.
///
/// ```
/// # mod mitogen { pub use {mitogen_core::connect::ChildSettings, mitogen_upstream::*}; }
/// use std::sync::Arc;
///
/// use mitogen::{ChildSettings, Upstream, UpstreamPackage};
///
/// /// `mitogen::upstream::find` finds the package of an interpreter.
/// fn settings(package: Arc<UpstreamPackage>) -> ChildSettings {
///     ChildSettings::new(Upstream::new(package).interpreter(["python3"]))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upstream {
    package: Arc<UpstreamPackage>,
    interpreter: Vec<String>,
}

impl Upstream {
    /// Runs the core of `package`. A shell on the remote host finds an interpreter.
    pub fn new(package: Arc<UpstreamPackage>) -> Self {
        Self { package, interpreter: Vec::new() }
    }

    /// Sets the interpreter: a program and its first arguments, such as `["/usr/bin/env", "python3"]`.
    #[must_use]
    pub fn interpreter<I>(mut self, interpreter: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.interpreter = interpreter.into_iter().map(Into::into).collect();
        self
    }

    /// The package whose core runs.
    pub fn package(&self) -> &Arc<UpstreamPackage> {
        &self.package
    }
}

impl Runtime for Upstream {
    fn name(&self) -> &str {
        NAME
    }

    fn boot(&self, request: &BootRequest<'_>) -> Result<Boot, RuntimeError> {
        let (head, tail) = (self.package.head(), self.package.tail(request.config));
        let size = head.data().len() + tail.len();
        let stage = first_stage_arguments(&[], FIRST_STAGE, size, request.process_title);
        let argv = with_interpreter(&self.interpreter, stage);
        Ok(Boot::new(argv).exits(interpreter_exits()).input(vec![head.clone()], tail))
    }

    /// Contexts of upstream's core have none of the features: they start children by their own methods.
    fn requirements(&self, feature: Feature) -> Result<Vec<&str>, RuntimeError> {
        Err(RuntimeError::Unsupported { runtime: NAME.to_owned(), feature })
    }

    fn module(&self, fullname: &str) -> Option<RuntimeModule> {
        if fullname == "mitogen" || fullname == "mitogen.core" {
            return Some(RuntimeModule::Preinstalled);
        }
        if fullname.split('.').next() != Some("mitogen") {
            return None;
        }
        Some(self.package.payload(fullname).map_or(RuntimeModule::Absent, RuntimeModule::Private))
    }

    fn legacy_encoding_only(&self) -> bool {
        self.package.version().legacy_encoding_only()
    }
}
