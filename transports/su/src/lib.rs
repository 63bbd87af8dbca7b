//! The su transport: a context as another user of the host where it is started.
//!
//! ```
//! use mitogen_core::connect::{ChildCommand, Transport};
//! use mitogen_core::dialogue::Secret;
//! use mitogen_su::{Options, Su};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let su = Su::new(Options::new().username("web").password(Secret::new("hunter2")))?;
//! let plan = su.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.argv(), ["su", "web", "-c", "exec env LANGUAGE= python3"]);
//! # Ok(())
//! # }
//! ```

mod messages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use mitogen_become::Tool;
use mitogen_core::connect::{
    ChildCommand, OptionsError, Plan, Preamble, Spawn, Stdio, Transport, TransportKind,
};
use mitogen_core::dialogue::quote_argv;

pub use mitogen_become::Options;

const TOOL: Tool = Tool {
    method: "su",
    path_option: "su_path",
    password_doc: "the new user's password; without it `su` gets no terminal, and a prompt is an error; root \
                   needs none",
    prompt: messages::PROMPT,
    required: messages::required,
    incorrect: messages::incorrect,
    messages: messages::exits,
};

/// The transport `su` for profiles, with the specifications of its options.
pub fn kind() -> TransportKind {
    TOOL.kind(Su::new)
}

/// Becomes another user with su.
#[derive(Clone, Debug)]
pub struct Su {
    options: Options,
}

impl Su {
    /// A transport with these options.
    ///
    /// # Errors
    /// Values that su would take for flags, empty patterns.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        TOOL.check(&options)?;
        Ok(Self { options })
    }
}

impl Transport for Su {
    fn method(&self) -> &str {
        TOOL.method
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let stdio = if self.options.password.is_some() { Stdio::Tty } else { Stdio::Socketpair };
        let spawn = Spawn::new(argv(&self.options, child)).with_env(environment()).with_stdio(stdio);
        // su reads the password from its standard input, so a preamble sent earlier would be taken for it.
        Ok(TOOL.plan(&self.options, child, spawn).with_preamble(Preamble::AfterMarker))
    }
}

/// The form of command line that every su accepts: Linux, BSD and busybox.
fn argv(options: &Options, child: &ChildCommand) -> Vec<String> {
    // su has no option for its prompt, so its language is set to a known one (see `environment`) and reset
    // here: an empty LANGUAGE counts as unset. `env` does it, because the new user's shell may not support
    // assignments in front of commands.
    let mut words = vec!["env".to_owned(), "LANGUAGE=".to_owned()];
    words.extend(child.argv.iter().cloned());
    let command = format!("exec {}", quote_argv(&words));
    vec![TOOL.program(options).to_owned(), options.username.clone(), "-c".to_owned(), command]
}

/// Selects English messages and keeps the rest of the locale, such as the character set.
fn environment() -> BTreeMap<String, Option<String>> {
    BTreeMap::from([("LANGUAGE".to_owned(), Some("en".to_owned()))])
}
