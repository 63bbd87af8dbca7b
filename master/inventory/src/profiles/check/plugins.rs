//! The `[plugins]` table: files and folders from which further transports are loaded.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use mitogen_core::connect::{Registry, TransportKind};
use mitogen_core::error::with_causes;

use super::super::document::{KeyValue, Node, Value};
use super::super::options::Fault;
use super::super::profile_file::ProfileFile;
use super::names::reserved_option;
use super::templates::Defined;

/// Loads the plugins at a path: a file, or a folder.
pub type PluginLoader<'a> = dyn Fn(&Path) -> Result<Vec<TransportKind>, Box<dyn Error + Send + Sync>> + 'a;

const FORM: &str = "write paths = [\"plugins/mine.so\"]; relative to the profile file";

/// Loads what the table names. A plugin whose transport `registry` has is refused.
pub(super) fn read(
    file: &ProfileFile,
    registry: &Registry,
    entries: &[KeyValue],
    load: Option<&PluginLoader<'_>>,
) -> Defined {
    let mut defined = Defined::default();
    let Some(entry) = entries.iter().find(|entry| entry.key == "plugins") else { return defined };
    let Some(table) = entry.node.table() else { return defined };
    for KeyValue { key, key_span, node } in table {
        let mut report = |span: &Range<usize>, fault| {
            defined.faults.push((span.clone(), Some(format!("plugins.{key}")), fault));
        };
        match (key.as_str(), &node.value, load) {
            ("paths", Value::Array(items), Some(load)) => {
                for item in items {
                    for fault in load_one(file, registry, item, load, &mut defined.kinds) {
                        report(&item.span, fault);
                    }
                }
            }
            ("paths", Value::Array(_), None) => {
                report(key_span, Fault::new("this program loads no plugins", "remove the key"));
            }
            ("paths", _, _) => {
                let message = format!("expected an array of strings, found {}", node.kind());
                report(&node.span, Fault::new(message, FORM));
            }
            _ => report(key_span, Fault::new("unknown key", "the only key of [plugins] is paths")),
        }
    }
    // A profile may use the transport of a plugin that could not be loaded.
    defined.incomplete = !defined.faults.is_empty();
    defined
}

fn load_one(
    file: &ProfileFile,
    registry: &Registry,
    item: &Node,
    load: &PluginLoader<'_>,
    kinds: &mut Vec<TransportKind>,
) -> Vec<Fault> {
    let Some(text) = item.string().filter(|text| !text.is_empty()) else {
        return vec![Fault::new(format!("expected a path, found {}", item.kind()), FORM)];
    };
    let path = file.path().parent().unwrap_or(Path::new("")).join(text);
    let loaded = match load(&path) {
        Ok(loaded) => loaded,
        Err(error) => return vec![Fault { message: with_causes(&*error).to_string(), hint: None }],
    };
    let mut faults = Vec::new();
    for kind in loaded {
        let origin = kind.origin();
        if let Some(other) =
            registry.get(kind.name()).or_else(|| kinds.iter().find(|other| other.name() == kind.name()))
        {
            let message =
                format!("{origin}: there is a transport `{}` already ({})", kind.name(), other.origin());
            faults.push(Fault::new(message, "remove the plugin, or build it with another name"));
        } else if let Some(option) = kind.option_names().find(|name| reserved_option(name)) {
            let message =
                format!("{origin}: every profile has a key `{option}`, so no option can have this name");
            faults.push(Fault { message, hint: None });
        } else {
            kinds.push(kind);
        }
    }
    faults
}
