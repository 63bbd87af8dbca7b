//! What a transport is: a pure function from options and a child's command line to a plan.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::driver::Opener;
use super::option_spec::{self, OptionSpec};
use super::options::OptionsError;
use super::plan::Plan;
use crate::dialogue::ExitRule;

/// The command that starts the child on its host, as its runtime wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCommand {
    /// Program and arguments, unquoted; a transport that goes through a shell quotes them.
    pub argv: Vec<String>,
    /// The known ways in which the command fails, such as a missing interpreter. A transport appends them to
    /// the exit rules of its own program.
    pub exits: Vec<ExitRule>,
}

impl ChildCommand {
    /// A command without known failures.
    pub fn new<T: Into<String>>(argv: impl IntoIterator<Item = T>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), exits: Vec::new() }
    }

    /// Sets the known ways in which the command fails.
    #[must_use]
    pub fn with_exits(mut self, exits: Vec<ExitRule>) -> Self {
        self.exits = exits;
        self
    }
}

/// A method of starting a context. Implementations hold their options and do no I/O.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::connect::{ChildCommand, OptionsError, Plan, Spawn, Transport};
///
/// /// Starts contexts with a low priority.
/// #[derive(Debug)]
/// struct Nice;
///
/// impl Transport for Nice {
///     fn method(&self) -> &str {
///         "nice"
///     }
///
///     fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
///         let mut argv = vec!["nice".to_owned()];
///         argv.extend(child.argv.iter().cloned());
///         Ok(Plan::new("nice", self.method(), Spawn::new(argv)))
///     }
/// }
///
/// let plan = Nice.plan(&ChildCommand::new(["python3"]))?;
/// assert_eq!(plan.argv(), ["nice", "python3"]);
/// # Ok::<(), OptionsError>(())
/// ```
pub trait Transport: fmt::Debug + Send + Sync {
    /// The transport's name, such as `ssh`.
    fn method(&self) -> &str;

    /// The program to run, and the dialogue with it.
    ///
    /// # Errors
    /// Options that contradict each other or cannot be expressed.
    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError>;

    /// What opens the link if the plan's start is [`Start::Opened`](super::Start::Opened). Default: none.
    fn opener(&self) -> Option<Arc<dyn Opener>> {
        None
    }
}

/// Where a transport comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportOrigin {
    /// Compiled into this program.
    #[default]
    BuiltIn,
    /// A `[transport.NAME]` template in this file.
    Template(PathBuf),
    /// A plugin that is an executable.
    Executable(PathBuf),
    /// A plugin that is a shared library.
    Library(PathBuf),
}

impl TransportOrigin {
    /// The file that defines the transport; `None` for a built-in one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::BuiltIn => None,
            Self::Template(path) | Self::Executable(path) | Self::Library(path) => Some(path),
        }
    }
}

impl fmt::Display for TransportOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Template(path) => write!(f, "template in {}", path.display()),
            Self::Executable(path) => write!(f, "executable {}", path.display()),
            Self::Library(path) => write!(f, "library {}", path.display()),
        }
    }
}

type Factory = dyn Fn(Value) -> Result<Box<dyn Transport>, OptionsError> + Send + Sync;

/// A transport that profiles can name as `method`: its options, and how to make it from them.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransportKind {
    name: String,
    options: Vec<OptionSpec>,
    origin: TransportOrigin,
    factory: Arc<Factory>,
}

impl TransportKind {
    /// A built-in transport called `name` without options. `factory` makes it from a JSON object, which has been
    /// checked against the option specifications.
    pub fn new<T: Transport + 'static>(
        name: impl Into<String>,
        factory: impl Fn(Value) -> Result<T, OptionsError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            options: Vec::new(),
            origin: TransportOrigin::default(),
            factory: Arc::new(move |options| {
                factory(options).map(|transport| Box::new(transport) as Box<dyn Transport>)
            }),
        }
    }

    /// Appends an option.
    #[must_use]
    pub fn with_option(mut self, spec: OptionSpec) -> Self {
        self.options.push(spec);
        self
    }

    /// Appends options.
    #[must_use]
    pub fn with_options(mut self, specs: impl IntoIterator<Item = OptionSpec>) -> Self {
        self.options.extend(specs);
        self
    }

    /// Sets where the transport comes from.
    #[must_use]
    pub fn with_origin(mut self, origin: TransportOrigin) -> Self {
        self.origin = origin;
        self
    }

    /// The value of `method` in profiles.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its options, in the order of the documentation.
    pub fn options(&self) -> &[OptionSpec] {
        &self.options
    }

    /// The names of its options.
    pub fn option_names(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|spec| spec.name.as_str())
    }

    /// The option `name`.
    pub fn option(&self, name: &str) -> Option<&OptionSpec> {
        self.options.iter().find(|spec| spec.name == name)
    }

    /// Whether it has an option `name`.
    pub fn has_option(&self, name: &str) -> bool {
        self.option(name).is_some()
    }

    /// Where it comes from.
    pub fn origin(&self) -> &TransportOrigin {
        &self.origin
    }

    /// Makes the transport from a JSON object of options.
    ///
    /// # Errors
    /// An option that is unknown, missing, of the wrong type or otherwise not acceptable.
    pub fn create(&self, options: Value) -> Result<Box<dyn Transport>, OptionsError> {
        match &options {
            Value::Object(map) => option_spec::check(&self.name, &self.options, map)?,
            _ => return Err(OptionsError::new(&self.name, "options must be a table of names and values")),
        }
        (self.factory)(options)
    }
}

/// By name, options and origin: how transports are made from options cannot be compared.
impl PartialEq for TransportKind {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.options, &self.origin) == (&other.name, &other.options, &other.origin)
    }
}

impl fmt::Debug for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportKind")
            .field("name", &self.name)
            .field("options", &self.options)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Transports by name. The core knows none; programs fill it.
///
/// ```
/// # use mitogen_core as mitogen;
/// use mitogen::connect::{
///     ChildCommand, OptionKind, OptionSpec, OptionsError, Plan, Registry, Spawn, Transport, TransportKind,
/// };
///
/// /// Starts contexts with another priority.
/// #[derive(Debug)]
/// struct Nice {
///     adjustment: i64,
/// }
///
/// # impl Transport for Nice {
/// #     fn method(&self) -> &str {
/// #         "nice"
/// #     }
/// #     fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
/// #         let mut argv = vec!["nice".to_owned(), format!("--adjustment={}", self.adjustment)];
/// #         argv.extend(child.argv.iter().cloned());
/// #         Ok(Plan::new("nice", self.method(), Spawn::new(argv)))
/// #     }
/// # }
/// let kind = TransportKind::new("nice", |options| {
///     Ok(Nice { adjustment: options["adjustment"].as_i64().unwrap_or(10) })
/// })
/// .with_option(OptionSpec::new(
///     "adjustment",
///     OptionKind::Integer { min: 0, max: 19 },
///     "what is added to the priority",
/// ));
///
/// let mut registry = Registry::new();
/// registry.add(kind);
/// assert!(registry.get("nice").is_some_and(|nice| nice.has_option("adjustment")));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: BTreeMap<String, TransportKind>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a transport and returns the one of the same name that it replaces, if any.
    pub fn add(&mut self, kind: TransportKind) -> Option<TransportKind> {
        self.kinds.insert(kind.name.clone(), kind)
    }

    /// The transport called `name`.
    pub fn get(&self, name: &str) -> Option<&TransportKind> {
        self.kinds.get(name)
    }

    /// All transports, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &TransportKind> {
        self.kinds.values()
    }

    /// The names of all transports, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }
}

/// Later transports replace earlier ones of the same name.
impl FromIterator<TransportKind> for Registry {
    fn from_iter<I: IntoIterator<Item = TransportKind>>(kinds: I) -> Self {
        Self { kinds: kinds.into_iter().map(|kind| (kind.name.clone(), kind)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::OptionKind;
    use super::*;

    #[derive(Debug)]
    struct Echo(String);

    impl Transport for Echo {
        fn method(&self) -> &str {
            &self.0
        }

        fn plan(&self, _: &ChildCommand) -> Result<Plan, OptionsError> {
            Err(OptionsError::new(&self.0, "leads nowhere"))
        }
    }

    fn echo(origin: TransportOrigin) -> TransportKind {
        TransportKind::new("echo", |options: Value| Ok(Echo(options["text"].as_str().unwrap().to_owned())))
            .with_option(OptionSpec::new("text", OptionKind::String, "").required())
            .with_origin(origin)
    }

    #[test]
    fn options_are_checked_before_the_transport_is_made() {
        let kind = echo(TransportOrigin::BuiltIn);
        assert_eq!(kind.create(json!({"text": "hello"})).unwrap().method(), "hello");
        for (options, key) in
            [(json!({}), Some("text")), (json!({"text": 1}), Some("text")), (json!({"txt": ""}), Some("txt"))]
        {
            assert_eq!(kind.create(options).unwrap_err().key.as_deref(), key);
        }
        assert!(kind.create(json!([1])).unwrap_err().message.contains("table"));
    }

    #[test]
    fn replacing_a_transport_returns_the_old_one() {
        let mut registry: Registry = [echo(TransportOrigin::BuiltIn)].into_iter().collect();
        let library = TransportOrigin::Library("/lib/echo.so".into());
        let old = registry.add(echo(library.clone())).unwrap();
        assert_eq!(old.origin(), &TransportOrigin::BuiltIn);
        assert_eq!(registry.get("echo").unwrap().origin(), &library);
        assert_eq!(library.to_string(), "library /lib/echo.so");
        assert_eq!(registry.names().collect::<Vec<_>>(), ["echo"]);
    }
}
