//! A loaded plugin as a transport.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mitogen_core::connect::{
    ChildCommand, DEFAULT_CONNECT_TIMEOUT, OptionSpec, OptionsError, Plan, Transport, TransportKind,
    TransportOrigin,
};
use mitogen_core::dialogue::Secret;
use serde_json::{Map, Value};

use crate::error::LoadError;
use crate::library::{Answer, Library};
use crate::search::find;
use crate::{reply, schema, trust};

/// An answer that takes longer is worth a warning: a plugin is a function of its options.
const SLOW: Duration = Duration::from_secs(5);
const TIMEOUT: &str = "connect_timeout";

/// Loads the shared object at `path`.
///
/// # Errors
/// A file that others could have written, that the system's loader refuses, or that is not a plugin which this program
/// supports.
pub fn load(path: &Path) -> Result<TransportKind, LoadError> {
    let path = trust::check(path)?;
    let library = Library::open(&path)?;
    let refused = |reason: String| LoadError::Refused { path: path.clone(), reason };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if library.name.is_empty() || library.name.starts_with('-') || !library.name.chars().all(is_word) {
        let name = library.name.escape_debug().to_string();
        return Err(refused(format!("`{name}` cannot be the name of a transport")));
    }
    let mut specs = schema::read(&library.options).map_err(refused)?;
    let own_timeout = specs.iter().any(|spec| spec.name == TIMEOUT);
    if !own_timeout {
        specs.push(OptionSpec::connect_timeout());
    }
    tracing::debug!("loaded {} {} from {}", library.name, library.version, path.display());
    let secrets: Vec<String> =
        specs.iter().filter(|spec| spec.is_secret()).map(|spec| spec.name.clone()).collect();
    let plugin = Arc::new(Loaded { library, secrets, own_timeout });
    let factory = Arc::clone(&plugin);
    Ok(TransportKind::new(&plugin.library.name, move |options| {
        FromPlugin::new(Arc::clone(&factory), options)
    })
    .with_options(specs)
    .with_origin(TransportOrigin::Library(path)))
}

/// Loads the shared object at `path`, or all of those in the folder `path`.
///
/// # Errors
/// The first that cannot be loaded; see [`load`].
pub fn load_all(path: &Path) -> Result<Vec<TransportKind>, LoadError> {
    // A user who can write the folder chooses what is loaded.
    trust::check(path)?;
    let files = find(path).map_err(|source| LoadError::Examine { path: path.to_owned(), source })?;
    files.iter().map(|file| load(file)).collect()
}

#[derive(Debug)]
struct Loaded {
    library: Library,
    /// The options that are secrets.
    secrets: Vec<String>,
    /// Whether the plugin has an option `connect_timeout` of its own.
    own_timeout: bool,
}

/// A plugin with the values of its options.
#[derive(Debug)]
struct FromPlugin {
    plugin: Arc<Loaded>,
    /// Without secrets.
    options: Map<String, Value>,
    secrets: BTreeMap<String, Secret>,
    timeout: Option<Duration>,
}

impl FromPlugin {
    /// `options` have been checked against the specifications. The plugin is asked once, so that what it refuses is found
    /// when a profile is checked.
    fn new(plugin: Arc<Loaded>, options: Value) -> Result<Self, OptionsError> {
        let Value::Object(mut options) = options else {
            return Err(OptionsError::new(
                &plugin.library.name,
                "options must be a table of names and values",
            ));
        };
        let mut secrets = BTreeMap::new();
        for name in &plugin.secrets {
            if let Some(Value::String(text)) = options.remove(name) {
                secrets.insert(name.clone(), Secret::new(text));
            }
        }
        let timeout = if plugin.own_timeout {
            None
        } else {
            let seconds = options.remove(TIMEOUT).and_then(|value| value.as_f64());
            seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .or(Some(DEFAULT_CONNECT_TIMEOUT))
        };
        let transport = Self { plugin, options, secrets, timeout };
        transport.plan(&ChildCommand::new(["python3"]))?;
        Ok(transport)
    }
}

impl Transport for FromPlugin {
    fn method(&self) -> &str {
        &self.plugin.library.name
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let method = self.method();
        let names: Vec<&str> = self.secrets.keys().map(String::as_str).collect();
        let started = Instant::now();
        let answer = self.plugin.library.plan(&reply::request(&self.options, &names, child));
        let taken = started.elapsed();
        if taken > SLOW {
            tracing::warn!("the plugin {method} took {:.1} s to make a plan", taken.as_secs_f64());
        }
        let (Answer::Plan(text) | Answer::Error(text)) =
            answer.map_err(|problem| OptionsError::new(method, problem))?;
        let mut plan = reply::read(method, &text)?;
        plan.secrets.clone_from(&self.secrets);
        if let Some(timeout) = self.timeout {
            plan.timeout = timeout;
        }
        // The known failures of the interpreter.
        plan.dialogue.exits.extend(child.exits.iter().cloned());
        plan.validate().map_err(|error| OptionsError::new(method, error.to_string()))?;
        Ok(plan)
    }
}
