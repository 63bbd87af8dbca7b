//! The `[transport.NAME]` tables: transports that the file defines.

use std::collections::BTreeSet;
use std::ops::Range;

use mitogen_core::connect::{Registry, TransportKind, TransportOrigin};
use mitogen_template::{Fault as TemplateFault, Step, Template};

use super::super::document::{KeyValue, Node, Value};
use super::super::options::{self, Fault};
use super::super::profile_file::ProfileFile;
use super::names::{name_fault, reserved_option};

/// The transports of a file, and what is wrong with them.
#[derive(Default)]
pub(super) struct Defined {
    pub(super) kinds: Vec<TransportKind>,
    /// The names of those that have errors.
    pub(super) broken: BTreeSet<String>,
    /// Whether there may be others, whose names are not known.
    pub(super) incomplete: bool,
    pub(super) faults: Vec<(Range<usize>, Option<String>, Fault)>,
}

/// Reads the tables. A name that `registry` has is refused.
pub(super) fn read(file: &ProfileFile, registry: &Registry, entries: &[KeyValue]) -> Defined {
    let mut defined = Defined::default();
    let tables = entries.iter().find(|entry| entry.key == "transport").and_then(|entry| entry.node.table());
    for entry in tables.unwrap_or_default() {
        match transport(registry, entry) {
            Ok(template) => {
                let origin = TransportOrigin::Template(file.path().to_owned());
                defined.kinds.push(template.kind().with_origin(origin));
            }
            Err(faults) => {
                defined.faults.extend(faults);
                defined.broken.insert(entry.key.clone());
            }
        }
    }
    defined
}

type Faults = Vec<(Range<usize>, Option<String>, Fault)>;

fn transport(registry: &Registry, entry: &KeyValue) -> Result<Template, Faults> {
    let name = entry.key.as_str();
    let place = format!("transport.{name}");
    if let Some(fault) = name_fault(name) {
        return Err(vec![(entry.key_span.clone(), Some(place), fault)]);
    }
    if let Some(kind) = registry.get(name) {
        let fault = Fault::new(
            format!("there is a transport `{name}` already ({})", kind.origin()),
            "use another name",
        );
        return Err(vec![(entry.key_span.clone(), Some(place), fault)]);
    }
    let Some(table) = entry.node.table() else {
        let fault = Fault::new(
            format!("expected a table, found {}", entry.node.kind()),
            format!("write [transport.{name}] on a line of its own and its keys below"),
        );
        return Err(vec![(entry.node.span.clone(), Some(place), fault)]);
    };
    let mut faults = reserved(table, &place);
    let value = options::plain(&entry.node)
        .map_err(|fault| vec![(entry.node.span.clone(), Some(place.clone()), fault)])?;
    match Template::read(name, value.as_object().unwrap_or(&serde_json::Map::new())) {
        Ok(template) if faults.is_empty() => return Ok(template),
        Ok(_) => {}
        Err(found) => faults.extend(found.into_iter().map(|fault| {
            let span = if fault.path.is_empty() { entry.key_span.clone() } else { span(&entry.node, &fault) };
            let key = fault.key();
            let key = if key.is_empty() { place.clone() } else { format!("{place}.{key}") };
            (span, Some(key), Fault { message: fault.message, hint: fault.hint })
        })),
    }
    Err(faults)
}

/// Options with the name of a key that every profile has.
fn reserved(table: &[KeyValue], place: &str) -> Faults {
    let options = table.iter().find(|entry| entry.key == "options").and_then(|entry| entry.node.table());
    let clashes = options.unwrap_or_default().iter().filter(|option| reserved_option(&option.key));
    clashes
        .map(|option| {
            let key = format!("{place}.options.{}", option.key);
            let fault = Fault::new("every profile has a key of this name", "use another name");
            (option.key_span.clone(), Some(key), fault)
        })
        .collect()
}

/// The place of a fault: as far as its path leads.
fn span(node: &Node, fault: &TemplateFault) -> Range<usize> {
    let (mut node, mut at) = (node, node.span.clone());
    for (depth, step) in fault.path.iter().enumerate() {
        let last = depth + 1 == fault.path.len();
        let next = match (step, &node.value) {
            (Step::Key(key), Value::Table(entries)) => {
                let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { break };
                at = if last && fault.in_key { entry.key_span.clone() } else { entry.node.span.clone() };
                &entry.node
            }
            (Step::Index(index), Value::Array(items)) => {
                let Some(item) = items.get(*index) else { break };
                at = item.span.clone();
                item
            }
            _ => break,
        };
        node = next;
    }
    at
}
