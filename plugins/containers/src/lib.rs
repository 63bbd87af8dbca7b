//! Transports into containers, pods, chroots and scheduled jobs.
//!
//! They are templates: `containers.toml` beside this file says what is run, in the form that
//! profile files have for transports of their own. The tools copy standard input and output, and standard error apart;
//! none is given a terminal, which would change bytes.
//!
//! ```
//! use mitogen_core::connect::ChildCommand;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let kinds = mitogen_containers::kinds();
//! let docker = kinds.iter().find(|kind| kind.name() == "docker").expect("docker is one of them");
//! let plan = docker.create(json!({"container": "web"}))?.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.argv(), ["docker", "exec", "--interactive", "web", "python3"]);
//! # Ok(())
//! # }
//! ```

#[cfg(test)]
mod tests;

use mitogen_core::connect::TransportKind;
use mitogen_template::{Fault, Template};
use serde_json::{Map, Value};

const TABLES: &str = include_str!("containers.toml");

/// All transports of this crate, ordered by name.
///
/// # Panics
/// Never: the tests read every template.
pub fn kinds() -> Vec<TransportKind> {
    // The tests have read every template with all checks.
    let templates = templates(Template::read_again);
    templates.unwrap_or_else(|fault| panic!("containers.toml: {fault}")).iter().map(Template::kind).collect()
}

type Read = fn(&str, &Map<String, Value>) -> Result<Template, Vec<Fault>>;

/// The templates of the file.
fn templates(read: Read) -> Result<Vec<Template>, String> {
    let tables: Map<String, Value> = toml::from_str(TABLES).map_err(|error| error.to_string())?;
    let template = |(name, table): (&String, &Value)| {
        let table = table.as_object().ok_or_else(|| format!("{name} is not a table"))?;
        read(name, table).map_err(|faults| faults.iter().map(|fault| format!("{name}: {fault}\n")).collect())
    };
    tables.iter().map(template).collect()
}
