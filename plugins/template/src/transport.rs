//! The transport that a template becomes with a set of options.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mitogen_core::connect::{ChildCommand, DEFAULT_CONNECT_TIMEOUT, OptionsError, Plan, Spawn, Transport};
use mitogen_core::dialogue::Secret;
use serde_json::Value;

use crate::template::Template;
use crate::text::Values;

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
