//! The command line that starts a Python child.
//!
//! Its strings pass through login shells of every kind, so they have no newline, no single quote
//! and no exclamation mark.

use serde::{Deserialize, Serialize};

use super::bundle::runtime_size;

/// The first stage; its arguments are the runtime's size in bytes and a name for process lists.
///
/// It drops what is not absolute from the module path before it imports anything that could come
/// from there, announces the interpreter, reads exactly the runtime and runs it in place.
pub const STAGE: &str = concat!(
    r#"import sys;sys.path=[p for p in sys.path if p[:1]=="/"];v=sys.version_info[:2];"#,
    r#"v==(2,7)or v>(3,5)or(sys.stderr.write("mitogen: unsupported python %d.%d at %s%c"%"#,
    r#"(v+(sys.executable,10))),sys.exit(78));import posix,select,zlib;"#,
    r#"posix.write(1,b"MITO000%c"%10);n=int(sys.argv[1]);b=bytearray();"#,
    r#"[b.extend(posix.read(0,n-len(b))or sys.exit(1))for _ in "#,
    r#"iter(lambda:len(b)<n and select.select([0],[],[]),False)];b=bytes(b);"#,
    r#"r=zlib.decompress(b,-15).split(b"@@");exec(compile(r.pop(0),"mitogen.core","exec"),"#,
    r#"{"__name__":"mitogen.core","blob":b,"rest":r})"#,
);

/// Finds an interpreter and becomes it; its arguments are the interpreter's.
const PROBE: &str = concat!(
    r#"t="python3 python2.7 python python2 /usr/bin/python3 /usr/local/bin/python3 "#,
    r#"/opt/local/bin/python3 /usr/pkg/bin/python3 /usr/libexec/platform-python "#,
    r#"/usr/bin/python2.7 /usr/bin/python";"#,
    r#"for p in $t;do command -v $p >/dev/null 2>&1&&exec $p "$@";done;"#,
    r#"echo "mitogen: no python found (tried $t)" >&2;exit 127"#,
);

/// Which interpreter to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonSpec {
    /// The interpreter and its own arguments, such as `["/usr/bin/env", "python3"]`; empty to let
    /// a shell on the target find one.
    pub argv: Vec<String>,
}

/// The command line of a child named `remote_name` in process lists.
pub fn command(spec: &PythonSpec, remote_name: &str) -> Vec<String> {
    with_interpreter(spec, stage_arguments(&["-S"], STAGE, runtime_size(), remote_name))
}

/// The command line for the interpreter at `python`.
pub fn python_argv(python: &str, remote_name: &str) -> Vec<String> {
    command(&PythonSpec { argv: vec![python.to_owned()] }, remote_name)
}

/// The interpreter, or what finds one, with its arguments.
pub(super) fn with_interpreter(spec: &PythonSpec, stage: Vec<String>) -> Vec<String> {
    if spec.argv.is_empty() {
        let shell = ["/bin/sh", "-c", PROBE, "mitogen"].map(String::from);
        shell.into_iter().chain(stage).collect()
    } else {
        spec.argv.iter().cloned().chain(stage).collect()
    }
}

/// An interpreter's arguments: `flags`, the first stage, and what it takes.
pub(super) fn stage_arguments(flags: &[&str], stage: &str, size: usize, remote_name: &str) -> Vec<String> {
    // Whatever a shell might take for its own is not worth having in a process list.
    let harmless = |c: char| c.is_ascii_alphanumeric() || "@._:-".contains(c);
    let name = remote_name.chars().map(|c| if harmless(c) { c } else { '_' });
    let mut arguments: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    arguments.extend(["-c".to_owned(), stage.to_owned(), size.to_string()]);
    arguments.push(format!("mitogen:{}", name.collect::<String>()));
    arguments
}
