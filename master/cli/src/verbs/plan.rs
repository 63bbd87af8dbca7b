//! `mitogen plan`, and `--check` of the verbs that do something: what would run where, and nothing
//! is run. No secret is asked for, and none is shown.

use std::collections::HashSet;
use std::io::{self, Write};

use mitogen::profiles::{Chain, SecretStore, SystemSecrets};
use mitogen::transports::Registry;
use mitogen::{ConnectionPool, Plan};
use mitogen_core::dialogue::quote_argv;
use serde_json::json;

use super::fleet::{Targets, master};
use crate::args::{Global, Plan as PlanArgs};
use crate::fleet::Task;
use crate::logs::Loudness;
use crate::output::SCHEMA;
use crate::values;

/// How plans are printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// A JSON object for each target.
    pub json: bool,
    /// Also where each option was set.
    pub origins: bool,
}

/// `mitogen plan`.
///
/// # Errors
/// Faults of profiles, the command line or options, and of our own output.
pub fn plan(
    global: &Global,
    registry: &Registry,
    asked: &PlanArgs,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let targets = Targets::find(global, registry, &asked.targets.join(" "))?;
    show(&targets, registry, None, Style { json: asked.json, origins: global.verbose > 0 }, out)
}

/// Prints the plans to all targets, and the task that would follow.
///
/// # Errors
/// Options that a transport refuses, and errors of our own output.
pub fn show(
    targets: &Targets,
    registry: &Registry,
    task: Option<&Task>,
    style: Style,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // It connects nothing: a plan only has to know what a child is told.
    let master = master(Loudness::new(0, false, false), Vec::new())?;
    let connections = ConnectionPool::new(&master, registry, SecretStore::new(SystemSecrets));
    let mut seen = HashSet::new();
    for chain in &targets.chains {
        let plans = connections.plans(chain)?;
        if style.json {
            write_json(chain, &plans, task, out)?;
            continue;
        }
        if style.origins {
            out.write_all(chain.explain().as_bytes())?;
        } else {
            writeln!(out, "{}", chain.label)?;
        }
        for (i, (hop, plan)) in chain.hops.iter().zip(&plans).enumerate() {
            if !seen.insert(hop.key.clone()) {
                writeln!(out, "  {}. {}: see above", i + 1, plan.name)?;
                continue;
            }
            let text = plan.describe();
            let mut lines = text.lines();
            writeln!(out, "  {}. {}", i + 1, lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(out, "   {line}")?;
            }
        }
        if let Some(task) = task {
            writeln!(out, "  then {}", words(task))?;
        }
    }
    Ok(())
}

fn write_json(chain: &Chain, plans: &[Plan], task: Option<&Task>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = json!({"schema": SCHEMA, "host": chain.label, "plans": plans});
    if let (Some(task), Some(line)) = (task, line.as_object_mut()) {
        let task = match task {
            Task::Run(command) => json!({
                "argv": command.argv, "cwd": command.cwd, "env": command.env, "stdin": command.stdin,
                "script": command.script.is_some(),
            }),
            Task::Call { function, positional, keywords } => {
                let keywords =
                    keywords.iter().map(|(name, value)| (name.clone(), values::to_json(value))).collect();
                json!({
                    "function": function.to_string(),
                    "args": positional.iter().map(values::to_json).collect::<Vec<_>>(),
                    "kwargs": serde_json::Value::Object(keywords),
                })
            }
            Task::Copy(copy) => copy.json(),
            Task::Ping { .. } => json!({}),
        };
        line.insert("then".to_owned(), task);
    }
    writeln!(out, "{line}")
}

/// What would be done on the host.
fn words(task: &Task) -> String {
    match task {
        Task::Run(command) => {
            let what = if command.script.is_some() { "run our program" } else { "run" };
            let mut text = format!("{what} {}", quote_argv(&command.argv));
            if let Some(cwd) = &command.cwd {
                text.push_str(&format!(", in {cwd}"));
            }
            for (name, value) in &command.env {
                text.push_str(&format!(", with {name}={}", value.as_deref().unwrap_or_default()));
            }
            text.push_str(if command.stdin { ", with our input" } else { ", without input" });
            text
        }
        Task::Call { function, positional, keywords } => {
            let arguments = positional.iter().map(|value| values::to_json(value).to_string());
            let keywords = keywords.iter().map(|(name, value)| format!("{name}={}", values::to_json(value)));
            format!("call {function}({})", arguments.chain(keywords).collect::<Vec<_>>().join(", "))
        }
        Task::Copy(copy) => copy.words(),
        Task::Ping { .. } => "say hello".to_owned(),
    }
}
