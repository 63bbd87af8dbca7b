//! A program that becomes another user, as data.

use mitogen_core::connect::{
    ChildCommand, OptionKind, OptionSpec, OptionsError, Plan, Spawn, Transport, TransportKind, check_word,
    parse_options,
};
use mitogen_core::dialogue::{Dialogue, ExitRule, Failure, FailureKind, START, literal};
use serde_json::Value;

use super::dialogue::{self, PASSWORD, PasswordFailures, SENT, message};
use super::options::Options;

/// A program that becomes another user and chooses its own password prompt.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The transport's name, which is also the default program.
    pub method: &'static str,
    /// The name of the option that sets [`Options::program`].
    pub path_option: &'static str,
    /// The documentation of the option `password`.
    pub password_doc: &'static str,
    /// The pattern of its prompts, which are at the end of an unfinished line; case is ignored.
    pub prompt: &'static str,
    /// What to report when it asks for a password and none is given.
    pub required: fn() -> Failure,
    /// What to report when it rejects the password.
    pub incorrect: fn() -> Failure,
    /// Its error messages.
    pub messages: fn() -> Vec<ExitRule>,
}

impl Tool {
    /// The transport for profiles; `new` makes it from options.
    pub fn kind<T: Transport + 'static>(
        self,
        new: impl Fn(Options) -> Result<T, OptionsError> + Send + Sync + 'static,
    ) -> TransportKind {
        TransportKind::new(self.method, move |options| new(self.parse(options)?)).with_options(self.specs())
    }

    /// Checks options for values that the program would take for flags, and for patterns that match everything.
    ///
    /// # Errors
    /// The first such option.
    pub fn check(&self, options: &Options) -> Result<(), OptionsError> {
        check_word(self.method, "username", &options.username)?;
        check_word(self.method, self.path_option, self.program(options))?;
        for (key, texts) in [
            ("password_prompt", options.password_prompt.as_slice()),
            ("incorrect_prompts", &options.incorrect_prompts[..]),
        ] {
            if texts.iter().any(|text| text.trim().is_empty()) {
                let message = "must not be empty: it would match everything";
                return Err(OptionsError::in_option(self.method, key, message));
            }
        }
        Ok(())
    }

    /// The program to run.
    pub fn program<'a>(&self, options: &'a Options) -> &'a str {
        options.program.as_deref().unwrap_or(self.method)
    }

    /// The plan that runs `spawn`, a command line of this program.
    pub fn plan(&self, options: &Options, child: &ChildCommand, spawn: Spawn) -> Plan {
        let dialogue = self.dialogue(options, child);
        let Options { username, password, connect_timeout, .. } = options;
        dialogue::plan(self.method, username, password.as_ref(), *connect_timeout, spawn, dialogue)
    }

    fn dialogue(&self, options: &Options, child: &ChildCommand) -> Dialogue {
        let failures = PasswordFailures { required: (self.required)(), incorrect: (self.incorrect)() };
        let pattern = match &options.password_prompt {
            Some(text) => format!("{} ?$", literal(text.trim_end())),
            None => self.prompt.to_owned(),
        };
        let mut rules = dialogue::expired_rules();
        rules.extend(dialogue::prompt_rules(&pattern, true, options.password.is_some(), &failures));
        let own = options.incorrect_prompts.iter();
        let mut exits: Vec<_> = own.map(|text| message(&literal(text), failures.incorrect.clone())).collect();
        exits.extend((self.messages)());
        exits.extend(child.exits.iter().cloned());
        let name = self.method;
        let own_words = format!("^({name}: |sorry)");
        exits.push(message(&own_words, failures.incorrect).in_state(SENT).status(1).quoting());
        // The program reports its own errors in words, so a silent end is the shell's.
        let refused = dialogue::failure(
            FailureKind::NotPermitted,
            &format!("{name} or the new user's shell refused to run the command"),
        )
        .with_hint("the shell may be restricted, or no shell, such as nologin or /bin/false");
        for state in [START, SENT] {
            exits.push(ExitRule::new(refused.clone()).in_state(state).status(1));
        }
        Dialogue { rules, exits, stages: dialogue::stages(), ..Dialogue::default() }
    }

    fn parse(&self, mut options: Value) -> Result<Options, OptionsError> {
        if let Some(map) = options.as_object_mut()
            && let Some(path) = map.remove(self.path_option)
        {
            map.insert("program".to_owned(), path);
        }
        parse_options(self.method, options)
    }

    fn specs(&self) -> [OptionSpec; 6] {
        let name = self.method;
        [
            OptionSpec::new("username", OptionKind::String, "the user to become").with_default("root"),
            OptionSpec::new(PASSWORD, OptionKind::Secret, self.password_doc),
            OptionSpec::new(self.path_option, OptionKind::String, "the program").with_default(name),
            OptionSpec::new(
                "password_prompt",
                OptionKind::String,
                format!(
                    "the prompt to answer, for a `{name}` whose prompt is not recognised; compared, ignoring case, \
                     with the end of an unfinished line"
                ),
            )
            .with_default_doc("known prompts"),
            OptionSpec::new(
                "incorrect_prompts",
                OptionKind::StringArray,
                format!("further messages with which `{name}` rejects a password; case is ignored"),
            )
            .with_default(Vec::<String>::new()),
            OptionSpec::connect_timeout(),
        ]
    }
}
