//! `mitogen plugins`: the transports that are not built in, and the options of a transport.

use std::io::{self, Write};

use mitogen::transports::{Registry, TransportKind, TransportOrigin};
use mitogen_core::suggest::did_you_mean;

use crate::cli::{PluginsArgs, PluginsSubcommand};
use crate::session::Env;

/// There is no such transport.
#[derive(Debug, thiserror::Error)]
#[error("unknown transport `{name}`; {hint}")]
pub struct UnknownTransport {
    name: String,
    hint: String,
}

/// Runs the subcommand.
///
/// # Errors
/// Errors of the profile file and of `out`, and a name that no transport has.
pub fn plugins(env: Env<'_>, args: &PluginsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let inventory = env.inventory()?;
    let registry = inventory.transports();
    match &args.command {
        PluginsSubcommand::List => list(registry, out)?,
        PluginsSubcommand::Info { name } => {
            let kind = registry.get(name).ok_or_else(|| unknown(registry, name))?;
            info(kind, out)?;
        }
    }
    Ok(())
}

fn unknown(registry: &Registry, name: &str) -> UnknownTransport {
    let hint = did_you_mean(name, registry.names()).map_or_else(
        || format!("available transports: {}", registry.names().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    UnknownTransport { name: name.to_owned(), hint }
}

/// Prints the name and the origin of each transport that is not built in.
fn list(registry: &Registry, out: &mut dyn Write) -> io::Result<()> {
    let added: Vec<&TransportKind> =
        registry.iter().filter(|kind| *kind.origin() != TransportOrigin::BuiltIn).collect();
    let width = added.iter().map(|kind| kind.name().chars().count()).max().unwrap_or(0);
    for kind in added {
        writeln!(out, "{:width$}  {}", kind.name(), kind.origin())?;
    }
    Ok(())
}

/// Prints where a transport comes from, and each option with its type, default and meaning.
fn info(kind: &TransportKind, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", kind.name(), kind.origin())?;
    for spec in kind.options() {
        writeln!(out, "  {} ({}; default: {})", spec.name, spec.kind, spec.default_text())?;
        if !spec.doc.is_empty() {
            writeln!(out, "      {}", spec.doc)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mitogen::profiles::{Inventory, ProfileFile};
    use mitogen::transports::builtin;

    use super::*;

    #[test]
    fn transports_are_listed_and_described() {
        let text = "[transport.a]\nargv = [\"a\", \"--port={port}\", \"{child...}\"]\n\
                    options.port = { type = \"integer\", default = 5, doc = \"the port\" }\n\
                    [transport.long]\nargv = [\"a\", \"{child...}\"]\n";
        let inventory = Inventory::parse(&ProfileFile::from_text("m.toml", text), &builtin()).unwrap();
        let registry = inventory.transports();
        let mut out = Vec::new();
        list(registry, &mut out).unwrap();
        info(registry.get("a").unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let begin = "\
a     template in m.toml
long  template in m.toml
a: template in m.toml
  port (integer; default: `5`)
      the port
  connect_timeout (seconds; default: `30`)
";
        assert!(text.starts_with(begin), "{text}");
        assert!(unknown(registry, "shh").to_string().contains("did you mean `ssh`?"));
    }
}
