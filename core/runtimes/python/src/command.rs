//! The command line that starts a Python child.
//!
//! Its strings pass through login shells of every kind, so they contain no newline, no single quote
//! and no exclamation mark.

use crate::bundle::runtime_size;

/// The first stage. Its arguments are the runtime's size in bytes and a name for process lists.
///
/// It removes relative entries from the module path before it imports a module that could be found
/// through them, writes the marker `MITO000`, reads the runtime and executes it in place.
pub const FIRST_STAGE: &str = concat!(
    r#"import sys;sys.path=[p for p in sys.path if p[:1]=="/"];v=sys.version_info[:2];"#,
    r#"v==(2,7)or v>(3,5)or(sys.stderr.write("mitogen: unsupported python %d.%d at %s%c"%"#,
    r#"(v+(sys.executable,10))),sys.exit(78));import posix,select,zlib;"#,
    r#"posix.write(1,b"MITO000%c"%10);n=int(sys.argv[1]);b=bytearray();"#,
    r#"[b.extend(posix.read(0,n-len(b))or sys.exit(1))for _ in "#,
    r#"iter(lambda:len(b)<n and select.select([0],[],[]),False)];b=bytes(b);"#,
    r#"r=zlib.decompress(b,-15).split(b"@@");exec(compile(r.pop(0),"mitogen.core","exec"),"#,
    r#"{"__name__":"mitogen.core","blob":b,"rest":r})"#,
);

/// Finds an interpreter that works and replaces itself by it. Its arguments are those of the interpreter.
///
/// What `python3` names is started at once if it is the same file as `python3.6` or a newer one in its directory, as in
/// ordinary installations: a trial would cost each child a second start. Anything else, such as the shim of a version
/// manager or an older Python, is tried first. A shim that works is replaced by the interpreter behind it, which starts
/// faster. If none works, the first that exists is started, so that its own words and status are the error.
const FIND_PYTHON: &str = concat!(
    r#"f=;n=python3;v="14 13 12 11 10 9 8 7 6";for i in $v;do n="$n python3.$i";done;"#,
    r#"for n in $n platform-python python2.7 python python2;do "#,
    r#"for d in "" /usr/bin/ /usr/local/bin/ /opt/local/bin/ /usr/pkg/bin/ /usr/libexec/;do "#,
    r#"p=`command -v $d$n`||continue;f=${f:-$p};case $p in */shims/*);;*)for i in $v;do "#,
    r#"[ -x $p -a $p -ef $p.$i ] 2>/dev/null&&exec $p "$@";done;;esac;"#,
    r#"o=`$p -S -c "import sys;del sys.path[0];import zlib;v=sys.version_info;"#,
    r#"1/(v[:2]==(2,7)or v>(3,6));print(sys.executable)" 2>/dev/null </dev/null`;"#,
    r#"case $o in /*)case $p in */shims/*)p=$o;;esac;exec $p "$@";;esac;done;done;"#,
    r#"[ "$f" ]&&exec $f "$@";echo "mitogen: no python found (tried python3 and others)" >&2;exit 127"#,
);

/// The command line of a child that is called `process_title` in process lists. `interpreter` is a
/// program and its first arguments; when it is empty, a shell on the remote host finds one.
pub fn command(interpreter: &[String], process_title: &str) -> Vec<String> {
    let stage = first_stage_arguments(&["-S"], FIRST_STAGE, runtime_size(), process_title);
    with_interpreter(interpreter, stage)
}

/// The command line that passes `arguments` to `interpreter`, or to the one that a shell finds.
pub fn with_interpreter(interpreter: &[String], arguments: Vec<String>) -> Vec<String> {
    if interpreter.is_empty() {
        let shell = ["/bin/sh", "-c", FIND_PYTHON, "mitogen"].map(String::from);
        shell.into_iter().chain(arguments).collect()
    } else {
        interpreter.iter().cloned().chain(arguments).collect()
    }
}

/// The arguments of an interpreter that runs the program `stage`: `flags`, the program, and the
/// program's own arguments `size` and `process_title`.
pub fn first_stage_arguments(flags: &[&str], stage: &str, size: usize, process_title: &str) -> Vec<String> {
    // A shell on the way must not interpret any character of the name.
    let harmless = |c: char| c.is_ascii_alphanumeric() || "@._:-".contains(c);
    let name = process_title.chars().map(|c| if harmless(c) { c } else { '_' });
    let mut arguments: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    arguments.extend(["-c".to_owned(), stage.to_owned(), size.to_string()]);
    arguments.push(format!("mitogen:{}", name.collect::<String>()));
    arguments
}
