//! A plan: all that is needed to start one context, as data.
//!
//! It can be printed, compared with a snapshot, returned by a plugin, and shipped to the context
//! that will carry it out. Serialized names are part of the contract with the Python runtime.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dialogue::{Dialogue, Secret};
use crate::router::Keepalive;

/// How the started program's standard descriptors are wired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdio {
    /// One socket pair for input and output; standard error is a pipe of its own, the diag source.
    #[default]
    Socketpair,
    /// A pipe each for input, output and error (where SELinux forbids sockets across domains).
    Pipes,
    /// A pseudo-terminal for all three, controlling; there is no diag source.
    Tty,
    /// A socket pair for input and output; the controlling pseudo-terminal is standard error and
    /// the diag source.
    HybridTty,
    /// No program: the context that carries the plan out makes a copy of itself. The link is a
    /// socket pair, and there is no diag source. Only Python contexts can (`via`).
    Fork,
}

/// When the bootstrap is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preamble {
    /// At once, in one flight with everything that follows: nothing but our interpreter will read
    /// the link.
    #[default]
    Immediately,
    /// When the interpreter's first marker has been seen: the program itself may read the link.
    AfterMarker,
}

/// All that is needed to start one context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The context's name, such as `ssh.web1`, as stock names it.
    pub name: String,
    /// The transport's name, such as `ssh`.
    pub method: String,
    /// The program and its arguments; empty when there is none ([`Stdio::Fork`]).
    pub argv: Vec<String>,
    /// Environment variables to set (`Some`) or remove (`None`) for the program.
    #[serde(default)]
    pub env: BTreeMap<String, Option<String>>,
    /// The wiring of its standard descriptors.
    pub stdio: Stdio,
    /// When the bootstrap is written.
    #[serde(default)]
    pub preamble: Preamble,
    /// Seconds from the first try's start to the link being up.
    pub timeout: f64,
    /// What may be said on the way.
    #[serde(default)]
    pub dialogue: Dialogue,
    /// The secrets that the dialogue names.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// Whether the started process is itself the context (and not a tool in front of it).
    #[serde(default)]
    pub is_context: bool,
    /// What the program connects to, such as `host:port` of an sshd: handshakes with it are rationed,
    /// and a context that is detached does not need the program any more. `None` when the context is
    /// on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// When a silent link is given up; `None` where the system notices by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
}

impl Plan {
    /// The command line for errors and logs: whole, but for the text of the bootstrap and other
    /// long arguments, which nobody reads. It never holds a secret: those go through the dialogue.
    pub fn printed_argv(&self) -> Vec<String> {
        /// What is shown of a long argument, in characters.
        const SHOWN: usize = 60;
        self.argv
            .iter()
            .map(|arg| match arg.char_indices().nth(2 * SHOWN) {
                None => arg.clone(),
                Some(_) => {
                    let head: String = arg.chars().take(SHOWN).collect();
                    format!("{head}...({} bytes)", arg.len())
                }
            })
            .collect()
    }
}
