//! `mitogen profiles`: validates the profile file, and lists profiles, groups and hosts.

use std::io::{self, Write};

use mitogen::profiles::Inventory;
use mitogen::targets::fold;

use crate::cli::{ProfilesArgs, ProfilesSubcommand};
use crate::session::Env;

/// Runs the subcommand.
///
/// # Errors
/// Errors of the profile file, of the target expression and of `out`.
pub fn profiles(env: Env<'_>, args: &ProfilesArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let inventory = env.inventory()?;
    match &args.command {
        ProfilesSubcommand::Check => check(&inventory, out)?,
        ProfilesSubcommand::List { targets } if targets.is_empty() && env.global.limit.is_none() => {
            list(&inventory, out)?;
        }
        ProfilesSubcommand::List { targets } => {
            let wanted = if targets.is_empty() { "*".to_owned() } else { targets.join(" ") };
            for target in inventory.select(&wanted, env.global.limit.as_deref())? {
                writeln!(out, "{target}")?;
            }
        }
    }
    Ok(())
}

/// Prints that the file is valid, and how many profiles, hosts and groups it defines. A file with errors
/// cannot be loaded, so its errors have been reported already.
///
/// # Errors
/// Errors of `out`.
fn check(inventory: &Inventory, out: &mut dyn Write) -> io::Result<()> {
    let Some(path) = inventory.path() else {
        return writeln!(out, "no profile file found; `local` and host names work without one");
    };
    for warning in inventory.warnings() {
        writeln!(out, "warning: {warning}\n")?;
    }
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let hosts = inventory.profiles().iter().map(|profile| profile.hosts.len()).sum();
    writeln!(
        out,
        "{}: {}, {}, {}; no errors",
        path.display(),
        count(inventory.profiles().len(), "profile"),
        count(hosts, "target"),
        count(inventory.catalog().groups().len(), "group"),
    )
}

/// Lists profiles with their methods and hosts, and groups with their members.
///
/// # Errors
/// Errors of `out`.
fn list(inventory: &Inventory, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for profile in inventory.profiles() {
        let via = profile.via.as_ref().map_or_else(String::new, |(via, _)| format!(" via {via}"));
        rows.push([profile.name.clone(), format!("{}{via}", profile.method), fold(&profile.hosts)]);
    }
    if !inventory.profiles().iter().any(|profile| profile.name == "local") {
        rows.push(["local".to_owned(), "local".to_owned(), String::new()]);
    }
    for (name, members) in inventory.catalog().groups() {
        rows.push([format!("@{name}"), "group".to_owned(), members.to_string()]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [name, method, what] in &rows {
        let line = format!("{name:first$}  {method:second$}  {what}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mitogen::profiles::ProfileFile;
    use mitogen_core::connect::{
        ChildCommand, OptionKind, OptionSpec, OptionsError, Plan, Registry, Transport, TransportKind,
    };

    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl Transport for Nowhere {
        fn method(&self) -> &str {
            "ssh"
        }

        fn plan(&self, _: &ChildCommand) -> Result<Plan, OptionsError> {
            Err(OptionsError::new("ssh", "cannot connect"))
        }
    }

    fn inventory(text: &str) -> Inventory {
        let ssh = TransportKind::new("ssh", |_| Ok(Nowhere)).with_option(OptionSpec::new(
            "hostname",
            OptionKind::String,
            "",
        ));
        let registry: Registry = [ssh].into_iter().collect();
        Inventory::parse(&ProfileFile::from_text("m.toml", text), &registry).unwrap()
    }

    fn printed(print: fn(&Inventory, &mut dyn Write) -> io::Result<()>, inventory: &Inventory) -> String {
        let mut out = Vec::new();
        print(inventory, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn profiles_are_listed() {
        let inventory = inventory(
            "[profile.gate]\nmethod = \"ssh\"\n[profile.web]\nmethod = \"ssh\"\nvia = \"gate\"\n\
             hostname = \"web[01-20].x\"\n[group]\nall = [\"web\", \"gate\"]\n",
        );
        assert_eq!(printed(check, &inventory), "m.toml: 2 profiles, 21 targets, 1 group; no errors\n");
        let expected = "\
gate   ssh           gate
web    ssh via gate  web[01-20].x
local  local
@all   group         web,gate
";
        assert_eq!(printed(list, &inventory), expected);
        let none = Inventory::empty(&Registry::new());
        assert_eq!(printed(list, &none), "local  local\n");
    }
}
