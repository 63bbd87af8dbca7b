//! The ssh2 transport: a context on another host by libssh2, in this process and without an `ssh` for each context.
//!
//! It takes the options of the transport `ssh`, so that `method = "ssh2"` is the only change of a profile. The program
//! `ssh` is run once for each connection, as `ssh -G`, to read the user's configuration; it connects to nothing. What
//! libssh2 cannot do fails with a hint to use `method = "ssh"`: jump hosts, `ProxyCommand`, host certificates, GSSAPI,
//! keys on security tokens outside an agent.
//!
//! A thread logs in (`login.rs`) and ends when the remote command has been started. The link is then a stream on the
//! broker's poller.
//!
//! ```
//! use mitogen_core::connect::{ChildCommand, Start, Transport};
//! use mitogen_ssh2::{Options, Ssh2};
//!
//! # fn main() -> Result<(), mitogen_core::connect::OptionsError> {
//! let transport = Ssh2::new(Options::new("web01.example.org").username("deploy"))?;
//! let plan = transport.plan(&ChildCommand::new(["python3"]))?;
//! assert_eq!(plan.start, Start::Opened);
//! assert_eq!(plan.name, "ssh2.web01.example.org");
//! # Ok(())
//! # }
//! ```

mod authenticate;
mod config;
mod failures;
mod known_hosts;
mod link;
mod login;
mod tcp;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mitogen_core::connect::{
    ChildCommand, Keepalive, OpenDone, Opener, OptionsError, Plan, Start, Transport, TransportKind,
    parse_options,
};
use mitogen_core::dialogue::{Dialogue, FailureKind, START, Stage, quote_argv};
use mitogen_ssh::account_exits;
pub use mitogen_ssh::{CheckHostKeys, Options};

use failures::failure;
use tcp::DEFAULT_PORT;

/// The name of the method.
const METHOD: &str = "ssh2";

/// The transport `ssh2` for profiles. Its options are those of `ssh`.
pub fn kind() -> TransportKind {
    TransportKind::new(METHOD, |options| Ssh2::new(parse_options(METHOD, options)?))
        .with_options(mitogen_ssh::kind().options().to_vec())
}

/// Connects to a host with libssh2.
#[derive(Clone, Debug)]
pub struct Ssh2 {
    options: Arc<Options>,
}

impl Ssh2 {
    /// A transport with these options. `ssh_path` and `ssh_args` are for `ssh -G`; `ssh_debug_level` and `prompt_host`
    /// mean nothing here.
    ///
    /// # Errors
    /// As for the transport `ssh`.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        mitogen_ssh::Ssh::new(options.clone())?;
        Ok(Self { options: Arc::new(options) })
    }
}

impl Transport for Ssh2 {
    fn method(&self) -> &str {
        METHOD
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let options = &self.options;
        let name = match options.port {
            None | Some(DEFAULT_PORT) => format!("{METHOD}.{}", options.hostname),
            Some(port) => format!("{METHOD}.{}:{port}", options.hostname),
        };
        let keepalive = options
            .keepalive_enabled
            .then_some(Keepalive { interval: options.keepalive_interval, count: options.keepalive_count });
        let stages = vec![(START.to_owned(), Stage::Shell)];
        let exits = account_exits().into_iter().chain(child.exits.iter().cloned()).collect();
        Ok(Plan::new(name, METHOD, Start::Opened)
            .with_timeout(options.connect_timeout)
            .with_dialogue(Dialogue { exits, stages, ..Dialogue::default() })
            .with_destination(format!("{}:{}", options.hostname, options.port.unwrap_or(DEFAULT_PORT)))
            .with_keepalive(keepalive))
    }

    fn opener(&self) -> Option<Arc<dyn Opener>> {
        Some(Arc::new(LoginThread { options: Arc::clone(&self.options) }))
    }
}

/// Logs in on a thread of its own: name resolution, `ssh -G`, the agent and the decryption of keys all block.
struct LoginThread {
    options: Arc<Options>,
}

impl Opener for LoginThread {
    fn open(&self, argv: &[String], deadline: Instant, done: OpenDone) {
        let (options, command) = (Arc::clone(&self.options), quote_argv(argv));
        // In a slot, because a thread that cannot be started does not return what it was to own.
        let slot = Arc::new(Mutex::new(Some(done)));
        let of_thread = Arc::clone(&slot);
        let take =
            |slot: &Mutex<Option<OpenDone>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let started = std::thread::Builder::new().name("ssh2 login".to_owned()).spawn(move || {
            if let Some(done) = take(&of_thread) {
                let result = login::log_in(&options, &command, deadline, &done);
                done.complete(result);
            }
        });
        if let Err(error) = started
            && let Some(done) = take(&slot)
        {
            let message = format!("cannot start a thread on this machine: {error}");
            done.complete(Err(failure(Stage::Spawn, FailureKind::SpawnFailed, message)));
        }
    }
}

#[cfg(test)]
mod tests {
    use mitogen_core::connect::testing::check_option_errors;
    use serde_json::json;

    use super::*;

    #[test]
    fn options_are_those_of_ssh() {
        let names = |kind: &TransportKind| -> Vec<String> {
            kind.options().iter().map(|spec| spec.name.to_string()).collect()
        };
        assert_eq!(names(&kind()), names(&mitogen_ssh::kind()));
    }

    #[test]
    fn errors_name_the_option() {
        let table = [
            (json!({}), "hostname"),
            (json!({"hostname": "-oProxyCommand=x"}), "hostname"),
            (json!({"hostname": "a", "port": 0}), "port"),
            (json!({"hostname": "a", "passphrase": "x"}), "passphrase"),
            (json!({"hostname": "a", "compresion": true}), "compresion"),
        ];
        check_option_errors(&kind(), &table).unwrap_or_else(|difference| panic!("{difference}"));
    }

    #[test]
    fn plans_are_opened_links_and_hold_no_secret() {
        let options =
            Options::new("web1").port(2222).password(mitogen_core::dialogue::Secret::new("opensesame"));
        let transport = Ssh2::new(options).unwrap();
        let plan = transport.plan(&ChildCommand::new(["python3"])).unwrap();
        plan.validate().unwrap();
        assert_eq!((plan.name.as_str(), &plan.start), ("ssh2.web1:2222", &Start::Opened));
        assert!(!format!("{plan:?}{transport:?}").contains("opensesame"));
    }
}
