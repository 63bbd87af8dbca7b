//! `cargo xtask test`: prepares the machine and runs all tests.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::root::Result;
use crate::steps::{Steps, cargo, command, output, run as run_command};
use crate::{licences, prepare, root, rust_tests, tree};

/// The Python runtime's own tests, run under each interpreter.
const PYTHON_TESTS: &str = "core/runtimes/python/python/tests/run.py";

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    println!("=== prepare");
    // Without the tools every suite would fail with an error of its own; one list is clearer.
    prepare::run()?;
    let mut steps = Steps::default();

    let mut pythons = Vec::new();
    let mut found = None;
    steps.step("interpreters", || {
        let listed = list()?;
        pythons = parse(&listed)?;
        found = Some(listed);
        pythons.iter().for_each(Interpreter::print);
        let any = pythons.iter().any(|python| python.supported);
        if any { Ok(()) } else { Err("no supported Python found".into()) }
    });
    steps.step("the Python runtime's tests exist", || {
        let exists = root::root().join(PYTHON_TESTS).is_file();
        if exists { Ok(()) } else { Err(format!("{PYTHON_TESTS} is missing")) }
    });
    let mut again = Vec::new();
    if root::root().join(PYTHON_TESTS).is_file() {
        let supported: Vec<&Interpreter> = pythons.iter().filter(|python| python.supported).collect();
        let suites = supported.iter().map(|python| (python.step_name(), python_suite(&python.path)));
        let failed = steps.side_by_side(suites.collect());
        again = supported.into_iter().filter(|python| failed.contains(&python.step_name())).collect();
    }

    let mut bin = None;
    steps.step("the mitogen command", || {
        run_command(&mut cargo("build --package mitogen-cli --features ssh2"))?;
        bin = Some(target_dir()?.join("debug/mitogen"));
        Ok(())
    });
    let mut envs = Vec::new();
    if let Some(bin) = bin {
        // Otherwise each suite asks cargo to build the command.
        envs.push(("MITOGEN_BIN".to_owned(), bin.display().to_string()));
    }
    if let Some(found) = found {
        // Otherwise each test that needs an interpreter starts all of them.
        envs.push(("MITOGEN_TESTS_PYTHONS".to_owned(), found));
    }
    rust_tests::run_all(&mut steps, &envs)?;
    for python in again {
        steps.again(&python.step_name(), &[], || run_command(&mut python_suite(&python.path)));
    }
    if has_models()? {
        steps.step("loom models of core/src/sync", models);
    }
    steps.finish()
}

/// The command that runs the tests of the Python runtime under one interpreter.
fn python_suite(path: &str) -> Command {
    let mut suite = command(path, [PYTHON_TESTS]);
    // Unless told otherwise, the program looks for interpreters itself.
    suite.env("MITOGEN_PYTHONS", path);
    suite
}

/// An interpreter that the fixtures found.
pub(crate) struct Interpreter {
    pub(crate) path: String,
    version: String,
    pub(crate) supported: bool,
}

impl Interpreter {
    fn step_name(&self) -> String {
        format!("Python runtime under {} ({})", self.version, self.path)
    }

    fn print(&self) {
        let note = if self.supported { "" } else { "  (not supported, not used)" };
        println!("python {:8} {}{note}", self.version, self.path);
    }
}

/// The interpreters of this machine, as found by the fixtures.
pub(crate) fn interpreters() -> Result<Vec<Interpreter>> {
    parse(&list()?)
}

/// The output of `fixture pythons`.
fn list() -> Result<String> {
    output(&mut cargo("run --quiet --package mitogen-tests --bin fixture -- pythons"))
}

fn parse(listed: &str) -> Result<Vec<Interpreter>> {
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
    listed.lines().map(one).collect()
}

fn target_dir() -> Result<PathBuf> {
    let metadata = licences::metadata()?;
    let dir = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(dir))
}

/// Whether `core/src/sync` has loom models.
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

/// Runs the loom models, which try every interleaving of small programs. They need a target directory of their own,
/// because the flag applies to all dependencies.
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
        return Err("core/src/sync mentions loom, but has no test under sync::model".into());
    }
    run_command(&mut tests(""))
}
