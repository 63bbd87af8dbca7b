//! `mitogen plan`: how targets would be connected.

use std::io::Write;

use crate::cli::PlanArgs;
use crate::preview::{Style, show};
use crate::session::Env;

/// Prints the plans.
///
/// # Errors
/// Profiles, targets or options with errors, and errors of `out`.
pub fn plan(env: Env<'_>, args: &PlanArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let targets = env.targets(&args.targets.join(" "))?;
    let style = Style { json: args.json, origins: env.global.verbose > 0 };
    show(&targets.chains, env.registry, None, style, out)
}
