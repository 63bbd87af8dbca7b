//! `cargo xtask compare`: measures upstream Mitogen and this project in turn, in one run on one machine.
//!
//! The upstream side is `benches/upstream/measure.py`, run by an interpreter that has `mitogen` from PyPI; ours is the
//! program `measure_rust` of `benches`. Both take the groups as arguments and read from `MEASURE_*` variables what to
//! connect to, and print one line of JSON per figure. The fixture program of `tests` provides a server, an account and
//! a delayed link; it is run, not linked.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::figures::Figures;
use crate::flags::{CompareFlags, Side};
use crate::root::Result;
use crate::steps::{cargo, command, output, run as run_command};
use crate::{licences, root};

/// One-way delay of the long link, in milliseconds.
const ONE_WAY_MS: &str = "50";

/// Runs the task.
pub(crate) fn run(flags: &CompareFlags) -> Result<()> {
    let programs = Programs::build(flags)?;
    let needs_server = flags.groups.iter().any(|group| ["ssh", "files", "link100"].contains(&group.as_str()));
    let server = if needs_server { Some(Server::start(&programs.fixture)?) } else { None };
    let sides: Vec<Side> = match flags.only {
        Some(side) => vec![side],
        None => vec![Side::Upstream, Side::Ours],
    };
    let mut figures = Figures::default();
    for round in 0..flags.rounds {
        for group in &flags.groups {
            eprintln!("round {} of {}: {group}", round + 1, flags.rounds);
            if group == "bare" {
                let text = output(command(&programs.fixture, ["bare", "10"]).arg(&programs.python))?;
                figures.add(None, &text)?;
                continue;
            }
            // The order alternates, so that a drift of the machine affects both sides.
            let mut order = sides.clone();
            if round % 2 == 1 {
                order.reverse();
            }
            for side in order {
                let mut program = programs.of(side)?;
                program.arg(group).env("MEASURE_PYTHON", &programs.python);
                if let Some(server) = &server {
                    program.envs(server.variables());
                }
                figures.add(Some(side), &output(&mut program)?)?;
            }
        }
    }
    println!("{}", figures.table());
    if let Some(path) = &flags.json {
        let whole = json!({
            "rounds": flags.rounds,
            "python": programs.python,
            "figures": figures.json(),
        });
        std::fs::write(path, format!("{whole:#}\n"))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The programs of a comparison.
struct Programs {
    fixture: PathBuf,
    python: PathBuf,
    upstream_python: Option<PathBuf>,
    ours: Option<PathBuf>,
    /// The command, if a group measures it.
    mitogen: Option<PathBuf>,
}

impl Programs {
    fn build(flags: &CompareFlags) -> Result<Self> {
        run_command(&mut cargo("build --profile dist --package mitogen-tests --bin fixture"))?;
        let metadata = licences::metadata()?;
        let target = metadata["target_directory"].as_str().ok_or("no target directory")?;
        let built = Path::new(target).join("dist");
        let fixture = built.join("fixture");
        let python = match &flags.python {
            Some(python) => python.clone(),
            None => public_python(&fixture)?,
        };
        let only_limits = flags.groups.iter().all(|group| group == "bare");
        let wanted = |side| !only_limits && flags.only.is_none_or(|only| only == side);
        let upstream_python = if wanted(Side::Upstream) {
            let line = output(command(&fixture, ["upstream"]).arg(&python))?;
            Some(PathBuf::from(line.trim()))
        } else {
            None
        };
        let ours = if wanted(Side::Ours) {
            run_command(&mut cargo("build --profile dist --package mitogen-benches --bin measure_rust"))?;
            Some(built.join("measure_rust"))
        } else {
            None
        };
        let mitogen = if wanted(Side::Ours) && flags.groups.iter().any(|group| group == "tree") {
            run_command(&mut cargo("build --profile dist --package mitogen-cli"))?;
            Some(built.join("mitogen"))
        } else {
            None
        };
        Ok(Self { fixture, python, upstream_python, ours, mitogen })
    }

    fn of(&self, side: Side) -> Result<Command> {
        match side {
            Side::Upstream => {
                let python = self.upstream_python.as_ref().ok_or("upstream Mitogen was not prepared")?;
                let program = root::root().join("benches/upstream/measure.py");
                // The caller's environment must not change which packages either side finds.
                let mut command = command(python, ["-B"]);
                command.arg(program).env_remove("PYTHONPATH");
                Ok(command)
            }
            Side::Ours => {
                let program = self.ours.as_ref().ok_or("measure_rust was not built")?;
                let mut command = command(program, [""; 0]);
                command.env_remove("PYTHONPATH");
                if let Some(mitogen) = &self.mitogen {
                    command.env("MEASURE_MITOGEN", mitogen);
                }
                Ok(command)
            }
        }
    }
}

/// The newest interpreter that the server's account can run as well.
fn public_python(fixture: &Path) -> Result<PathBuf> {
    let text = output(&mut command(fixture, ["pythons"]))?;
    let mut found = None;
    for line in text.lines() {
        let python: Value = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        if python["public"] == Value::Bool(true) && python["supported"] == Value::Bool(true) {
            // The list is sorted by version.
            found = python["path"].as_str().map(PathBuf::from);
        }
    }
    found.ok_or("no Python that every account can run; name one with --python".into())
}

/// The fixture's server, account and long link. The fixture removes them when its input is closed.
struct Server {
    child: Child,
    details: Value,
}

impl Server {
    fn start(fixture: &Path) -> Result<Self> {
        let mut child = command(fixture, ["sshd", ONE_WAY_MS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", fixture.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("server: {error}"))?;
        let mut server = Self { child, details: Value::Null };
        // On failure it prints nothing here, and the reason on standard error.
        server.details = serde_json::from_str(&line).map_err(|_| "cannot start the ssh server")?;
        Ok(server)
    }

    /// The environment of a measuring program.
    fn variables(&self) -> Vec<(&'static str, String)> {
        const NAMES: [(&str, &str); 6] = [
            ("MEASURE_SSH_HOST", "host"),
            ("MEASURE_SSH_PORT", "port"),
            ("MEASURE_SSH_USER", "user"),
            ("MEASURE_SSH_KEY", "key"),
            ("MEASURE_SSH_KNOWN_HOSTS", "known_hosts"),
            ("MEASURE_LINK_PORT", "link_port"),
        ];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        NAMES.iter().map(|&(variable, field)| (variable, text(&self.details[field]))).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
