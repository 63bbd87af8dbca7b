//! One login, from the configuration to the started command. It blocks, on a thread of its own.

use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mitogen_core::connect::{OpenDone, OpenedLink};
use mitogen_core::dialogue::{Failure, FailureKind, Stage};
use mitogen_ssh::{CheckHostKeys, Options};
use ssh_key::{HashAlg, PublicKey};
use ssh2::{MethodType, Session};

use crate::authenticate::authenticate;
use crate::config::{self, Config};
use crate::failures::{self, failure, step, timeout};
use crate::known_hosts::{self, KnownKeys, Verdict};
use crate::link::Link;
use crate::tcp;

/// Connects, logs in, and starts `command` with the login shell.
pub(crate) fn log_in(
    options: &Options,
    command: &str,
    deadline: Instant,
    done: &OpenDone,
) -> Result<OpenedLink, Failure> {
    let config = config::read(options, deadline)?;
    let stream = tcp::connect(&config.host, config.port, deadline, |stage| done.set_stage(stage))?;
    let lost = |error: std::io::Error| {
        failure(Stage::Connect, FailureKind::SpawnFailed, format!("cannot use the connection: {error}"))
    };
    // Ends whatever libssh2 waits for when the connection is given up.
    let canceller = stream.try_clone().map_err(lost)?;
    done.on_cancel(move || shut_down(&canceller));
    let socket = Socket(Arc::new(OwnedFd::from(stream)));
    let mut session = Session::new().map_err(|error| step(Stage::Connect, &error))?;
    session.set_tcp_stream(socket.clone());
    session.set_compress(options.compression);
    let login = Login { options, config, deadline, done };
    login.log_in(&mut session)?;
    login.begin(&session, Stage::Shell)?;
    let mut channel = session.channel_session().map_err(|error| step(Stage::Shell, &error))?;
    channel.exec(command).map_err(|error| {
        if failures::is_disconnect(&error) || failures::is_timeout(&error) {
            return step(Stage::Shell, &error);
        }
        failure(Stage::Shell, FailureKind::NotPermitted, "the host does not permit commands for this login")
            .with_hint("see ForceCommand and the options of the key in authorized_keys")
    })?;
    session.set_timeout(0);
    session.set_blocking(false);
    Link::open(session, channel, socket.0).map_err(lost)
}

struct Login<'a> {
    options: &'a Options,
    config: Config,
    deadline: Instant,
    done: &'a OpenDone,
}

impl Login<'_> {
    /// Exchanges keys, checks the host's and authenticates.
    fn log_in(&self, session: &mut Session) -> Result<(), Failure> {
        let config = &self.config;
        let name = known_hosts::name(&config.alias, config.port);
        let files: Vec<PathBuf> =
            config.user_known_hosts.iter().chain(&config.global_known_hosts).cloned().collect();
        let known = match self.options.check_host_keys {
            CheckHostKeys::Ignore => KnownKeys::default(),
            _ => KnownKeys::read(&files, &name),
        };
        if let Ok(supported) = session.supported_algs(MethodType::HostKey) {
            let preference = known.preference(&supported);
            session
                .method_pref(MethodType::HostKey, &preference)
                .map_err(|error| step(Stage::Connect, &error))?;
        }
        self.begin(session, Stage::Connect)?;
        session.handshake().map_err(|error| failures::handshake(&error))?;
        self.begin(session, Stage::HostKey)?;
        self.check_host_key(session, &known, &name)?;
        self.begin(session, Stage::Authenticate)?;
        authenticate(session, config, self.options)
    }

    /// Limits the next step by the time that is left.
    fn begin(&self, session: &Session, stage: Stage) -> Result<(), Failure> {
        self.done.set_stage(stage);
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(timeout(stage));
        }
        // 0 would mean no limit.
        session.set_timeout(u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1));
        Ok(())
    }

    fn check_host_key(&self, session: &Session, known: &KnownKeys, name: &str) -> Result<(), Failure> {
        if self.options.check_host_keys == CheckHostKeys::Ignore {
            return Ok(());
        }
        let host_key = |kind, message: String| failure(Stage::HostKey, kind, message);
        let Some((blob, _)) = session.host_key() else {
            return Err(host_key(FailureKind::Protocol, "the host has shown no key".to_owned()));
        };
        let key = PublicKey::from_bytes(blob).map_err(|error| {
            host_key(FailureKind::Protocol, format!("the host's key cannot be read: {error}"))
                .with_hint("use method = \"ssh\" for this host")
        })?;
        let described = format!("{} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256));
        match known.check(blob) {
            Verdict::Known => Ok(()),
            Verdict::Unknown if self.options.check_host_keys == CheckHostKeys::Accept => {
                let line =
                    key.to_openssh().map_err(|error| host_key(FailureKind::Protocol, error.to_string()))?;
                let Some(file) = self.config.user_known_hosts.first() else { return Ok(()) };
                if let Err(error) = known_hosts::append(file, name, &line) {
                    // As ssh does: the connection is good, the next one will find the key unknown again.
                    tracing::warn!(file = %file.display(), %error, "cannot record the host key");
                }
                Ok(())
            }
            Verdict::Unknown => {
                Err(host_key(FailureKind::HostKeyUnknown, format!("unknown host key of {name}: {described}"))
                    .with_hint("add it to known_hosts, or set `check_host_keys = \"accept\"`"))
            }
            Verdict::Changed(place) => Err(host_key(
                FailureKind::HostKeyChanged,
                format!(
                    "the host key of {name} has changed: it is {described} now, and another in {}, line {}",
                    place.file.display(),
                    place.line
                ),
            )
            .with_hint(format!("find out why before removing the old key with ssh-keygen -R '{name}'"))),
            Verdict::Revoked(place) => Err(host_key(
                FailureKind::HostKeyChanged,
                format!(
                    "the host key of {name} is revoked: {described}, in {}, line {}",
                    place.file.display(),
                    place.line
                ),
            )
            .with_hint("the host must get a new key")),
        }
    }
}

/// The descriptor that the session, the sides and the poller share.
#[derive(Clone)]
struct Socket(Arc<OwnedFd>);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn shut_down(stream: &TcpStream) {
    // It fails only if the connection has ended already.
    let _ = stream.shutdown(Shutdown::Both);
}
