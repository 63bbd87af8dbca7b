//! A template: how it is read from a table, and the transport that it becomes with a set of options.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mitogen_core::connect::{
    ChildCommand, DEFAULT_CONNECT_TIMEOUT, Keepalive, OptionKind, OptionSpec, OptionsError, Plan, Preamble,
    Spawn, Stdio, Transport, TransportKind,
};
use mitogen_core::dialogue::Secret;
use serde_json::{Map, Value, json};

use crate::argv::Argv;
use crate::dialogue::Conversation;
use crate::fault::{Fault, Faults};
use crate::options;
use crate::read::{boolean, expected, known_keys, string, word};
use crate::text::{Text, Values};

/// The keys of a template.
const KEYS: &[&str] = &[
    "argv",
    "quote",
    "options",
    "name",
    "destination",
    "env",
    "stdio",
    "preamble",
    "keepalive",
    "stage",
    "stages",
    "rules",
    "exits",
    "doc",
];

/// A transport that is described by data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Template {
    pub(crate) method: String,
    pub(crate) doc: String,
    pub(crate) specs: Vec<OptionSpec>,
    pub(crate) argv: Argv,
    pub(crate) name: Text,
    pub(crate) destination: Option<Text>,
    /// Variables to set, or to remove.
    pub(crate) env: BTreeMap<String, Option<Text>>,
    pub(crate) stdio: Stdio,
    pub(crate) preamble: Preamble,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) conversation: Conversation,
}

impl Template {
    /// Reads the template of the transport `method`.
    ///
    /// # Errors
    /// Everything that is wrong with the table.
    pub fn read(method: &str, table: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        Self::read_with(Faults::default(), method, table)
    }

    /// Reads a template that [`Template::read`] has accepted before, such as one that is a part of the program. Patterns
    /// are not compiled, and no plan is tried, which takes most of the time.
    ///
    /// # Errors
    /// What is wrong with the table, as far as it is found.
    pub fn read_again(method: &str, table: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        Self::read_with(Faults::checked(), method, table)
    }

    fn read_with(mut faults: Faults, method: &str, table: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        known_keys(&mut faults, table, KEYS);
        let specs = options::read(&mut faults, table);
        // A table whose options are wrong would only cause errors about these.
        if !faults.found.is_empty() {
            return Err(faults.found);
        }
        let template = Self {
            method: method.to_owned(),
            doc: string(&mut faults, table, "doc").unwrap_or_default(),
            argv: Argv::read(&mut faults, table, &specs),
            name: name(&mut faults, table, method, &specs),
            destination: text(&mut faults, table, "destination", &specs),
            env: env(&mut faults, table, &specs),
            stdio: word(&mut faults, table, "stdio").unwrap_or_default(),
            preamble: word(&mut faults, table, "preamble").unwrap_or_default(),
            keepalive: boolean(&mut faults, table, "keepalive")
                .filter(|on| *on)
                .map(|_| Keepalive::default()),
            conversation: Conversation::read(&mut faults, table, &specs),
            specs,
        };
        if faults.found.is_empty() && !faults.checked {
            template.rehearse(&mut faults);
        }
        if faults.found.is_empty() { Ok(template) } else { Err(faults.found) }
    }

    /// The transport for profiles, with the specifications of its options.
    pub fn kind(&self) -> TransportKind {
        let template = Arc::new(self.clone());
        TransportKind::new(&self.method, move |options| FromTemplate::new(Arc::clone(&template), &options))
            .with_options(self.specs.iter().cloned())
    }

    /// What the template is for, as its key `doc` says.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// Makes plans with as few and with as many options as possible, so that whatever is wrong with every plan is found
    /// before one is needed.
    fn rehearse(&self, faults: &mut Faults) {
        for all in [false, true] {
            let given: Map<String, Value> = self
                .specs
                .iter()
                // Profiles give every transport that has this option the name of the host.
                .filter(|spec| all || spec.required || spec.name == "hostname")
                .map(|spec| (spec.name.clone(), spec.default.clone().unwrap_or_else(|| sample(&spec.kind))))
                .collect();
            let plan = self
                .kind()
                .create(Value::Object(given))
                .and_then(|transport| transport.plan(&ChildCommand::new(["python3", "-c", "'"])))
                .map_err(|error| match error.key {
                    Some(key) => format!("`{key}`: {}", error.message),
                    None => error.message,
                });
            let problem = plan.and_then(|plan| plan.validate().map_err(|error| error.to_string()));
            if let Err(problem) = problem {
                let which = if all { "every option" } else { "the required options only" };
                faults.report(format!("no plan can be made with {which}: {problem}"), "");
                return;
            }
        }
    }
}

/// A value of the type.
fn sample(kind: &OptionKind) -> Value {
    match kind {
        OptionKind::Integer { min, max } => json!(1.clamp(*min, *max)),
        OptionKind::Number | OptionKind::Seconds => json!(1),
        OptionKind::Boolean => json!(true),
        OptionKind::StringArray => json!(["x"]),
        OptionKind::Enum(values) => json!(values.first()),
        _ => json!("x"),
    }
}

/// The text at `key`.
fn text(faults: &mut Faults, table: &Map<String, Value>, key: &str, specs: &[OptionSpec]) -> Option<Text> {
    let given = string(faults, table, key)?;
    Some(faults.at(key, |faults| Text::read_plain(faults, &given, specs)))
}

/// The key `name`; otherwise the transport's name, followed by the host's if the transport has such an option.
fn name(faults: &mut Faults, table: &Map<String, Value>, method: &str, specs: &[OptionSpec]) -> Text {
    if let Some(text) = text(faults, table, "name", specs) {
        return text;
    }
    let has_host = specs.iter().any(|spec| spec.name == "hostname");
    let text = if has_host { format!("{method}.{{hostname}}") } else { method.to_owned() };
    Text::read_plain(faults, &text, specs)
}

fn env(
    faults: &mut Faults,
    table: &Map<String, Value>,
    specs: &[OptionSpec],
) -> BTreeMap<String, Option<Text>> {
    const FORM: &str = "write env = { NAME = \"value\", OTHER = false }; false removes a variable";
    let mut env = BTreeMap::new();
    let Some(value) = table.get("env") else { return env };
    faults.at("env", |faults| {
        let Value::Object(variables) = value else {
            expected(faults, "a table", value, FORM);
            return;
        };
        for (name, value) in variables {
            faults.at(name, |faults| match value {
                Value::String(text) => {
                    env.insert(name.clone(), Some(Text::read_plain(faults, text, specs)));
                }
                Value::Bool(false) => {
                    env.insert(name.clone(), None);
                }
                other => expected(faults, "a string or false", other, FORM),
            });
        }
    });
    env
}

/// A template with the values of its options.
#[derive(Debug)]
pub(crate) struct FromTemplate {
    template: Arc<Template>,
    /// Given values and defaults, without secrets.
    values: Values,
    secrets: BTreeMap<String, Secret>,
    timeout: Duration,
}

impl FromTemplate {
    /// `options` have been checked against the specifications.
    pub(crate) fn new(template: Arc<Template>, options: &Value) -> Result<Self, OptionsError> {
        let (mut values, mut secrets) = (Values::new(), BTreeMap::new());
        for spec in &template.specs {
            let Some(value) = options.get(&spec.name).or(spec.default.as_ref()) else { continue };
            match value.as_str() {
                Some(text) if spec.is_secret() => drop(secrets.insert(spec.name.clone(), Secret::new(text))),
                _ => drop(values.insert(spec.name.clone(), value.clone())),
            }
        }
        let timeout = values
            .get("connect_timeout")
            .and_then(Value::as_f64)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        let transport = Self { template, values, secrets, timeout };
        // Values that cannot stand in the command line are refused when the profile is checked.
        transport.words(&ChildCommand::new(["python3"]))?;
        Ok(transport)
    }

    fn words(&self, child: &ChildCommand) -> Result<Vec<String>, OptionsError> {
        self.template.argv.words(&self.template.method, &self.values, child)
    }
}

impl Transport for FromTemplate {
    fn method(&self) -> &str {
        &self.template.method
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let template = &*self.template;
        let name = template.name.fill(&self.values).unwrap_or_else(|| template.method.clone());
        // A variable whose option is not given is left as it is.
        let env = template
            .env
            .iter()
            .filter_map(|(name, text)| match text {
                None => Some((name.clone(), None)),
                Some(text) => Some((name.clone(), Some(text.fill(&self.values)?))),
            })
            .collect();
        let spawn = Spawn::new(self.words(child)?).with_env(env).with_stdio(template.stdio);
        let given: BTreeSet<&str> = self.secrets.keys().map(String::as_str).collect();
        let plan = Plan::new(name, &template.method, spawn)
            .with_preamble(template.preamble)
            .with_timeout(self.timeout)
            .with_dialogue(template.conversation.dialogue(&given, &child.exits))
            .with_secrets(self.secrets.clone())
            .with_keepalive(template.keepalive);
        Ok(match template.destination.as_ref().and_then(|text| text.fill(&self.values)) {
            Some(destination) => plan.with_destination(destination),
            None => plan,
        })
    }
}
