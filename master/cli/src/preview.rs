//! What a command would do: the plan of every hop and the task that follows, for `mitogen plan` and
//! `--check`. Nothing is connected, no secret is asked for, and secrets are masked.

use std::collections::HashSet;
use std::io::{self, Write};

use mitogen::profiles::Chain;
use mitogen::transports::Registry;
use mitogen::{ChainPlanner, MasterOptions, Plan};
use serde_json::json;

use crate::fleet::Task;
use crate::output::SCHEMA;

/// How plans are printed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// As a JSON object for each target.
    pub json: bool,
    /// With the file and line where each option was set.
    pub origins: bool,
}

/// Prints the plans of all targets, and the task that would follow.
///
/// # Errors
/// Options that a transport refuses, and errors of `out`.
pub fn show(
    chains: &[Chain],
    registry: &Registry,
    task: Option<&Task>,
    style: Style,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let planner = ChainPlanner::new(registry, &MasterOptions::default().settings);
    let mut seen = HashSet::new();
    for chain in chains {
        let plans = planner.plans(chain)?;
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
            writeln!(out, "  then {}", task.summary())?;
        }
    }
    Ok(())
}

fn write_json(chain: &Chain, plans: &[Plan], task: Option<&Task>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = json!({"schema": SCHEMA, "host": chain.label, "plans": plans});
    if let (Some(task), Some(line)) = (task, line.as_object_mut()) {
        line.insert("then".to_owned(), task.to_json());
    }
    writeln!(out, "{line}")
}
