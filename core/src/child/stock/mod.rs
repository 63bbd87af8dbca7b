//! Children that run stock Mitogen's core instead of our runtime (protocol 5).
//!
//! The core is the user's own copy, given as data: a [`StockPackage`]. Ours are the first stage,
//! which honours the same markers and descriptors, and the configuration. The stage runs the core in
//! the interpreter that it is in, where stock's starts a second one, and keeps relative entries off
//! the module path.

mod config;
mod package;
#[cfg(test)]
mod tests;

pub use package::{BadPackage, StockModule, StockPackage, Version};

use std::sync::Arc;

use bytes::Bytes;

use super::command::{PythonSpec, stage_arguments};
use super::config::ChildConfig;

/// The first stage; its arguments are the preamble's size in bytes and a name for process lists.
///
/// A forked process holds the core's text for the day when the child itself becomes a parent: it
/// feeds descriptor 101, from which the core reads, and is the process that the core waits for.
pub const STAGE: &str = concat!(
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

/// Which program a Python child runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PythonCore {
    /// Our runtime.
    #[default]
    Ours,
    /// Stock Mitogen's core, from the user's copy of the package.
    Stock(Arc<StockPackage>),
}

/// How a stock child is started: what to run, and what to write to its input ahead of any frame.
#[derive(Clone, Debug)]
pub struct StockBoot {
    /// The command line.
    pub argv: Vec<String>,
    /// The core, deflated: the same for every child of the package.
    pub head: Bytes,
    /// What goes behind it: the configuration, deflated. The command line names the size of both.
    pub tail: Bytes,
}

impl StockBoot {
    /// Both parts.
    pub fn preamble(&self) -> Bytes {
        [&self.head[..], &self.tail].concat().into()
    }
}

/// Starts `package`'s core under `python` with `config`, named `remote_name` in process lists.
pub fn stock_boot(
    package: &StockPackage,
    python: &PythonSpec,
    remote_name: &str,
    config: &ChildConfig,
) -> StockBoot {
    let (head, tail) = (package.preamble_head(), package.preamble_tail(config));
    let stage = stage_arguments(&[], STAGE, head.len() + tail.len(), remote_name);
    StockBoot { argv: super::command::with_interpreter(python, stage), head, tail }
}
