//! `cargo xtask test`: every test there is, on a machine that this chore prepares.

use std::path::PathBuf;

use serde_json::Value;

use crate::root::Result;
use crate::steps::{Steps, cargo, command, output, run as run_command};
use crate::{licences, prepare, root, tree};

/// The Python runtime's own tests, run under each interpreter.
const PYTHON_TESTS: &str = "core/python/tests/run.py";

/// Runs the chore.
pub(crate) fn run() -> Result<()> {
    println!("=== prepare");
    // Without the tools every suite would fail, each in its own words; one clear list is better.
    prepare::run()?;
    let mut steps = Steps::default();

    let mut pythons = Vec::new();
    steps.step("interpreters", || {
        pythons = interpreters()?;
        pythons.iter().for_each(Interpreter::print);
        let any = pythons.iter().any(|python| python.supported);
        if any { Ok(()) } else { Err("no Python that we support".into()) }
    });
    steps.step("python runtime's tests are there", || {
        let there = root::root().join(PYTHON_TESTS).is_file();
        if there { Ok(()) } else { Err(format!("{PYTHON_TESTS} is missing")) }
    });
    if root::root().join(PYTHON_TESTS).is_file() {
        for python in pythons.iter().filter(|python| python.supported) {
            let name = format!("python runtime under {}", python.version);
            // The program looks for interpreters by itself unless it is told which to take.
            let path = &python.path;
            steps.step(&name, || run_command(command(path, [PYTHON_TESTS]).env("MITOGEN_PYTHONS", path)));
        }
    }

    let mut bin = None;
    steps.step("the mitogen command", || {
        run_command(&mut cargo("build --package mitogen-cli"))?;
        bin = Some(target_dir()?.join("debug/mitogen"));
        Ok(())
    });
    steps.step("rust tests", || {
        let mut tests = cargo("test --workspace --no-fail-fast");
        // Without it each suite asks cargo for the command again.
        tests.envs(bin.as_ref().map(|bin| ("MITOGEN_BIN", bin)));
        run_command(&mut tests)
    });
    if has_models()? {
        steps.step("models of the rendezvous (loom)", models);
    }
    steps.finish()
}

/// An interpreter as the fixtures found it.
pub(crate) struct Interpreter {
    pub(crate) path: String,
    version: String,
    pub(crate) supported: bool,
}

impl Interpreter {
    fn print(&self) {
        let note = if self.supported { "" } else { "  (not supported, not used)" };
        println!("python {:8} {}{note}", self.version, self.path);
    }
}

/// The interpreters of this machine; the fixtures know how to look.
pub(crate) fn interpreters() -> Result<Vec<Interpreter>> {
    let text = output(&mut cargo("run --quiet --package mitogen-tests --bin fixture -- pythons"))?;
    let one = |line: &str| {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        let field =
            |name: &str| value[name].as_str().map(str::to_owned).ok_or(format!("no {name} in {line}"));
        Ok(Interpreter {
            path: field("path")?,
            version: field("version")?,
            supported: value["supported"] == Value::Bool(true),
        })
    };
    text.lines().map(one).collect()
}

fn target_dir() -> Result<PathBuf> {
    let metadata = licences::metadata()?;
    let dir = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(dir))
}

/// Whether `core` has models to check.
fn has_models() -> Result<bool> {
    for file in
        tree::files()?.iter().filter(|file| file.starts_with("core/src/sync/") && file.ends_with(".rs"))
    {
        if tree::text(file)?.is_some_and(|text| text.contains("cfg(loom)") || text.contains("loom::model")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every interleaving of small programs over `core`'s rendezvous. A build of its own, because the flag changes what
/// the whole tree of dependencies is compiled to.
fn models() -> Result<()> {
    let tests = |more: &str| {
        let line = "test --package mitogen-core --lib --release --target-dir target/loom sync::model --";
        let mut command = cargo(&format!("{line} {more}"));
        command.env("RUSTFLAGS", "--cfg loom");
        command
    };
    // A filter that matches nothing passes as well, so the tests are counted first.
    let listed = output(&mut tests("--list"))?;
    if !listed.lines().any(|line| line.ends_with(": test")) {
        return Err("core/src/sync speaks of loom, but there is no test under sync::model".into());
    }
    run_command(&mut tests(""))
}
