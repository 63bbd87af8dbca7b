//! How a plan reaches the new context: a program, a copy, a socket, or an opener of this process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The message for a plan that would fork this process.
pub(super) const FORK_NEEDS_VIA: &str = "this process cannot copy itself; name one as `via`, a context \
     whose runtime can";

/// What leads to the new context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Start {
    /// A program is started; its standard input and output are the link.
    Spawn(Spawn),
    /// The context that carries the plan out makes a copy of itself. Its runtime must support that
    /// ([`Feature::Copies`](crate::runtime::Feature::Copies)).
    Fork,
    /// A socket is connected; the connection is the link. The program at the other end must start the
    /// runtime on it.
    Dial(Dial),
    /// The [`Opener`](super::Opener) of this process gives the stream that is the link. It is printed,
    /// but never read back and never sent to another context.
    #[serde(skip_deserializing)]
    Opened,
}

/// A program to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Spawn {
    /// The program, which is searched for in `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// Environment variables to set (`Some`) or remove (`None`) for the program.
    #[serde(default)]
    pub env: BTreeMap<String, Option<String>>,
    /// How its standard descriptors are wired.
    #[serde(default)]
    pub stdio: Stdio,
}

/// How the started program's standard descriptors are wired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdio {
    /// One socket pair for input and output; standard error is a pipe of its own, the stderr channel.
    #[default]
    Socketpair,
    /// A pipe each for input, output and error (where SELinux forbids sockets across domains).
    Pipes,
    /// A pseudo-terminal for all three, controlling; there is no stderr channel.
    Tty,
    /// A socket pair for input and output; the controlling pseudo-terminal is standard error and
    /// the stderr channel.
    HybridTty,
}

/// A socket to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Dial {
    /// A TCP port.
    Tcp {
        /// A host name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix {
        /// Its path, where the plan is carried out.
        path: String,
    },
}

impl Spawn {
    /// Runs `argv` with the environment as it is, on a socket pair.
    pub fn new(argv: Vec<String>) -> Self {
        Self { argv, ..Self::default() }
    }

    /// Sets (`Some`) or removes (`None`) environment variables.
    #[must_use]
    pub fn with_env(self, env: BTreeMap<String, Option<String>>) -> Self {
        Self { env, ..self }
    }

    /// Wires its standard descriptors as `stdio` says.
    #[must_use]
    pub fn with_stdio(self, stdio: Stdio) -> Self {
        Self { stdio, ..self }
    }
}

impl From<Spawn> for Start {
    fn from(spawn: Spawn) -> Self {
        Self::Spawn(spawn)
    }
}

impl From<Dial> for Start {
    fn from(dial: Dial) -> Self {
        Self::Dial(dial)
    }
}
