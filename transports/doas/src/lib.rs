//! The doas transport: a context as another user of the host where it is started.
//!
//! ```
//! use mitogen_core::connect::{ChildCommand, Transport};
//! use mitogen_doas::{Doas, Options};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let doas = Doas::new(Options::new().username("web"))?;
//! let plan = doas.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.argv(), ["doas", "-u", "web", "-n", "--", "python3"]);
//! # Ok(())
//! # }
//! ```

mod messages;
#[cfg(test)]
mod tests;

use mitogen_become::Tool;
use mitogen_core::connect::{ChildCommand, OptionsError, Plan, Spawn, Stdio, Transport, TransportKind};

pub use mitogen_become::Options;

const TOOL: Tool = Tool {
    method: "doas",
    path_option: "doas_path",
    password_doc: "the calling user's password; without it `doas` gets no terminal and runs with `-n`",
    prompt: messages::PROMPT,
    required: messages::required,
    incorrect: messages::incorrect,
    messages: messages::exits,
};

/// The transport `doas` for profiles, with the specifications of its options.
pub fn kind() -> TransportKind {
    TOOL.kind(Doas::new)
}

/// Becomes another user with doas.
#[derive(Clone, Debug)]
pub struct Doas {
    options: Options,
}

impl Doas {
    /// A transport with these options.
    ///
    /// # Errors
    /// Values that doas would take for flags, empty patterns.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        TOOL.check(&options)?;
        Ok(Self { options })
    }
}

impl Transport for Doas {
    fn method(&self) -> &str {
        TOOL.method
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        // doas asks on its terminal and never reads its standard input, so the preamble can be sent at once.
        let stdio = if self.options.password.is_some() { Stdio::HybridTty } else { Stdio::Socketpair };
        let spawn = Spawn::new(argv(&self.options, child)).with_stdio(stdio);
        Ok(TOOL.plan(&self.options, child, spawn))
    }
}

fn argv(options: &Options, child: &ChildCommand) -> Vec<String> {
    let mut argv = vec![TOOL.program(options).to_owned(), "-u".to_owned(), options.username.clone()];
    if options.password.is_none() {
        argv.push("-n".to_owned());
    }
    argv.push("--".to_owned());
    argv.extend(child.argv.iter().cloned());
    argv
}
