//! A transport in Rust as a shared object: the child runs with another priority, behind a password if one is given.

use mitogen_plugin_sdk::dialogue::{Action, Dialogue, Rule, Shown, Source};
use mitogen_plugin_sdk::{
    ChildCommand, OptionKind, OptionSpec, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind, Value,
};

#[derive(Debug)]
struct Nice {
    adjustment: i64,
    program: String,
    asks: bool,
}

impl Transport for Nice {
    fn method(&self) -> &str {
        "nice"
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        // For the tests of what a panic does.
        assert!(self.adjustment != 13, "an unlucky number");
        if self.adjustment == 7 {
            return Err(OptionsError::in_option("nice", "adjustment", "seven is taken"));
        }
        let mut argv = vec![self.program.clone(), format!("--adjustment={}", self.adjustment)];
        argv.extend(child.argv.iter().cloned());
        let mut rules = Vec::new();
        if self.asks {
            let prompt = "password: $".to_owned();
            rules.push(Rule::new(
                Source::Diag,
                Shown::Partial,
                prompt,
                Action::SendSecret("password".to_owned()),
            ));
        }
        let stdio = if self.asks { Stdio::HybridTty } else { Stdio::Socketpair };
        let plan = Plan::new(format!("nice.{}", self.adjustment), "nice", Spawn::new(argv).with_stdio(stdio));
        Ok(plan.with_dialogue(Dialogue { rules, ..Dialogue::default() }))
    }
}

fn kind() -> TransportKind {
    TransportKind::new("nice", |options: Value| {
        Ok(Nice {
            adjustment: options["adjustment"].as_i64().unwrap_or(10),
            program: options["nice_path"].as_str().unwrap_or("nice").to_owned(),
            asks: options.get("password").is_some(),
        })
    })
    .with_option(
        OptionSpec::new("adjustment", OptionKind::Integer { min: 0, max: 19 }, "the change of priority")
            .with_default(10),
    )
    .with_option(OptionSpec::new("nice_path", OptionKind::String, "the program").with_default("nice"))
    .with_option(OptionSpec::new("password", OptionKind::Secret, "what is sent to a prompt"))
}

mitogen_plugin_sdk::plugin!(kind);
