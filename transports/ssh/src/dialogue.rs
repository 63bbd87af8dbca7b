//! The prompts and messages of ssh.
//!
//! ssh's messages are always in English. Its password prompts contain the user and the host; only those with the
//! expected host are answered, and once. At debug levels ssh also shows the server's banner, so a prompt counts only
//! after ssh has reported that it authenticates. Other messages are examined when ssh has ended, and only if its exit
//! status is 255, which is ssh's own: the output of a remote shell is not taken for a message of ssh.

use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, Rule, START, Shown, Source, Stage, literal,
};

use crate::options::Options;

pub(crate) fn dialogue(options: &Options, child: &ChildCommand) -> Dialogue {
    let mut exits = host_exits();
    exits.extend(authentication_exits(options));
    exits.extend(closed_exits());
    exits.extend(remote_exits());
    exits.extend(child.exits.iter().cloned());
    exits.extend(last_exits());
    let stages = vec![
        (START.to_owned(), Stage::Connect),
        (AUTHENTICATING.to_owned(), Stage::Authenticate),
        (SENT.to_owned(), Stage::Authenticate),
    ];
    Dialogue { rules: rules(options), exits, stages }
}

/// The names of the secrets.
pub(crate) const PASSWORD: &str = "password";
pub(crate) const PASSPHRASE: &str = "passphrase";

/// The state after ssh has reported that it authenticates, which it does at debug levels only.
const AUTHENTICATING: &str = "authenticating";
const SENT: &str = "sent";
/// The exit status for ssh's own errors.
const SSH_ERROR: i32 = 255;

fn rules(options: &Options) -> Vec<Rule> {
    let mut rules = Vec::new();
    let begun = if options.ssh_debug_level > 0 {
        let method = "^debug1: Next authentication method: ";
        rules.push(line(method, Action::Pass).in_state(START).then(AUTHENTICATING));
        AUTHENTICATING
    } else {
        START
    };
    rules.push(line("^debug[123]: ", Action::Pass));
    if !options.may_ask() {
        return rules;
    }
    let host = literal(options.prompt_host.as_ref().unwrap_or(&options.hostname));
    for pattern in password_prompts(&host) {
        match &options.password {
            Some(_) => {
                let send = Action::SendSecret(PASSWORD.to_owned());
                rules.push(partial(&pattern, send).in_state(begun).then(SENT).any_case());
                rules.push(partial(&pattern, Action::Fail(incorrect())).in_state(SENT).any_case());
            }
            None => rules.push(partial(&pattern, Action::Fail(required())).in_state(begun).any_case()),
        }
    }
    let passphrase = match options.passphrase {
        Some(_) => Action::SendSecret(PASSPHRASE.to_owned()),
        // An empty passphrase makes ssh continue without the key.
        None => Action::Send("\n".to_owned()),
    };
    rules.push(partial("^Enter passphrase for (key )?.*: ?$", passphrase));
    for state in [begun, SENT] {
        let elsewhere = failure(
            FailureKind::AuthenticationFailed,
            "ssh asked for the password of another host, and it was not sent",
        )
        .with_hint(
            "a jump host asks, or ssh_config sets another `HostName`: then set `prompt_host` to that name",
        );
        let [password, _] = password_prompts(r"[^\s]+");
        rules.push(partial(&password, Action::Fail(elsewhere)).in_state(state));
        let more = failure(FailureKind::AuthenticationFailed, "the host requires more than a password")
            .with_hint("one-time codes and other challenges are not supported; use a key");
        rules.push(partial(r"^\([^@\s]+@[^\s]+\) .*: ?$", Action::Fail(more)).in_state(state));
        let unnamed =
            failure(FailureKind::AuthenticationFailed, "the password prompt does not contain the host name")
                .with_hint(
                    "use OpenSSH 8.4 or later, allow PasswordAuthentication on the host, or use a key",
                );
        rules.push(partial("^Password: ?$", Action::Fail(unnamed)).in_state(state));
    }
    let question =
        failure_at(Stage::HostKey, FailureKind::HostKeyUnknown, "ssh asked to confirm the host key")
            .with_hint("`ssh_args` or ssh_config override `check_host_keys`");
    rules.push(partial(r"\(yes/no(/\[fingerprint\])?\)\? ?$", Action::Fail(question)));
    let pin = failure(FailureKind::AuthenticationFailed, "a key on a security token requires its PIN")
        .with_hint("unlock it in ssh-agent first");
    rules.push(partial("^Enter PIN for .*: ?$", Action::Fail(pin)));
    rules
}

/// The prompts of the methods `password` and `keyboard-interactive` for `host`, a pattern.
fn password_prompts(host: &str) -> [String; 2] {
    [
        format!(r"^[^@\s]+@{host}'s password: ?$"),
        format!(r"^\([^@\s]+@{host}\) ([^\s]+'s )?password( for [^\s]+)?: ?$"),
    ]
}

fn host_exits() -> Vec<ExitRule> {
    let connect = |kind, message: &str| failure_at(Stage::Connect, kind, message);
    let unreachable = || {
        connect(FailureKind::HostUnreachable, "host unreachable")
            .with_hint("check the address, the route and firewalls")
    };
    vec![
        own(
            r"(REMOTE HOST IDENTIFICATION HAS CHANGED|^Host key for .* has changed)",
            failure_at(Stage::HostKey, FailureKind::HostKeyChanged, "the host key has changed")
                .with_hint("find out why before removing the old key with ssh-keygen -R HOST"),
        ),
        own(
            r"^(Host key verification failed|No [^\s]+ host key is known for )",
            failure_at(Stage::HostKey, FailureKind::HostKeyUnknown, "unknown host key")
                .with_hint("add it to known_hosts, or set `check_host_keys = \"accept\"`"),
        ),
        own(
            r"^ssh: Could not resolve hostname ",
            failure_at(Stage::Resolve, FailureKind::NameNotResolved, "cannot resolve the host name")
                .with_hint("check `hostname`"),
        ),
        own(
            r"^ssh: connect to (host|address) .*: Connection refused",
            connect(FailureKind::ConnectionRefused, "connection refused")
                .with_hint("check that sshd is listening on that port"),
        ),
        own(
            r"^channel \d+: open failed: .*Connection refused",
            connect(FailureKind::ConnectionRefused, "connection refused, as seen from the jump host")
                .with_hint("check that sshd is listening on that port"),
        ),
        own(
            r"^channel \d+: open failed: .*(Name or service|hostname|nodename)",
            failure_at(
                Stage::Resolve,
                FailureKind::NameNotResolved,
                "the jump host cannot resolve the host name",
            )
            .with_hint("check `hostname`"),
        ),
        own(r"^(channel \d+: open failed: |stdio forwarding failed)", unreachable()),
        own(r"^ssh: connect to (host|address) ", unreachable()),
        own(r"^(Connection timed out during banner exchange|Connection to .* timed out)", unreachable()),
        own(
            r"^(Unable to negotiate with |no matching .* found|Protocol major versions differ)",
            connect(FailureKind::Protocol, "ssh and the host's sshd have no common algorithm")
                .with_hint("one of them is too old; see KexAlgorithms and HostKeyAlgorithms in ssh_config"),
        ),
        own(
            r"^(command-line: line \d+: |command-line line \d+: |unknown option|usage: ssh|Bad port |.*: line \d+: Bad configuration option|.*terminating, \d+ bad configuration options|Cannot execute command-line and remote command|Bad owner or permissions on )",
            failure_at(Stage::Spawn, FailureKind::BadOption, "ssh rejected its options")
                .with_hint("check `ssh_args` and the user's ssh_config"),
        ),
    ]
}

fn authentication_exits(options: &Options) -> Vec<ExitRule> {
    let denied = failure(FailureKind::AuthenticationFailed, "the host rejected all keys")
        .with_hint("check `username` and `identity_file`, or ssh-add the key");
    let mut exits = vec![own(
        r"Too many authentication failures",
        failure(FailureKind::AuthenticationFailed, "too many authentication failures")
            .with_hint("set `identity_file` so that no other keys are offered"),
    )];
    if options.password.is_some() {
        exits.push(own(DENIED, incorrect()).in_state(SENT));
        exits.push(own(
            DENIED,
            failure(FailureKind::AuthenticationFailed, "the host does not accept passwords")
                .with_hint("use a key, or allow PasswordAuthentication on the host"),
        ));
    } else {
        exits.push(own(r"Permission denied \([^)]*(password|keyboard-interactive)", required()));
        exits.push(own(DENIED, denied));
    }
    exits
}

/// ssh's final message, with or without the user and host.
const DENIED: &str = r"^([^\s]+@[^\s]+: )?Permission denied( \(|\.|$)";

/// Connections closed before authentication. These rules follow those that explain the cause: when a jump host
/// denies access, ssh prints that first and then that the connection was closed, and only the latter is retried.
fn closed_exits() -> Vec<ExitRule> {
    let closed = failure_at(
        Stage::Connect,
        FailureKind::ConnectionClosed,
        "the host closed the connection before authentication",
    )
    .with_hint(
        "its sshd may have too many unauthenticated connections (MaxStartups) or block this address for a while",
    );
    vec![
        own(
            r"^((kex|ssh)_exchange_identification|banner exchange): .*((Connection|connection) |read|Not allowed|MaxStartups)",
            closed.clone(),
        ),
        own(r"^Connection (closed|reset) by ", closed).in_state(START),
    ]
}

/// Messages of the remote side after authentication.
fn remote_exits() -> Vec<ExitRule> {
    let not_permitted =
        failure_at(Stage::Shell, FailureKind::NotPermitted, "the account may not run commands on the host")
            .with_hint("its shell is nologin or restricted, or logins are disabled");
    let lost = failure_at(Stage::Shell, FailureKind::Eof, "the connection was lost");
    vec![
        ExitRule::new(not_permitted).showing(
            Source::Any,
            r"^(This account is currently not available|This service allows sftp connections only|.*Unprivileged users are not permitted to log in|.*[Yy]our account (has expired|is locked|is disabled))",
        ),
        own(
            r"^(Timeout, server .* not responding|client_loop: send disconnect: |Connection to .* closed by remote host|Read from remote host .*: |packet_write_wait: )",
            lost,
        ),
    ]
}

/// Ends during authentication. With `LogLevel=ERROR` ssh prints nothing when the host closes the connection then, as
/// it does for expired accounts.
fn last_exits() -> Vec<ExitRule> {
    let closed =
        failure(FailureKind::AuthenticationFailed, "the host closed the connection during authentication")
            .with_hint("the account may be locked or expired");
    let silent = failure(FailureKind::AuthenticationFailed, "ssh ended during authentication")
        .with_hint("the account may be locked or expired; `ssh_debug_level = 1` shows more");
    let mut exits = vec![own("^Connection (closed|reset) by ", closed)];
    for state in [START, AUTHENTICATING, SENT] {
        exits.push(ExitRule::new(silent.clone()).status(SSH_ERROR).in_state(state));
    }
    exits
}

fn required() -> Failure {
    failure(FailureKind::PasswordRequired, "the host rejected all keys and requires a password")
        .with_hint("set `password` or `identity_file`")
}

fn incorrect() -> Failure {
    failure(FailureKind::PasswordIncorrect, "the host rejected the password")
        .with_hint("check `username` and `password`")
}

fn line(pattern: &str, action: Action) -> Rule {
    Rule::new(Source::Diag, Shown::Line, pattern, action)
}

fn partial(pattern: &str, action: Action) -> Rule {
    Rule::new(Source::Diag, Shown::Partial, pattern, action)
}

/// An exit that ssh itself explained.
fn own(pattern: &str, failure: Failure) -> ExitRule {
    ExitRule::new(failure).status(SSH_ERROR).showing(Source::Diag, pattern)
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    failure_at(Stage::Authenticate, kind, message)
}

fn failure_at(stage: Stage, kind: FailureKind, message: &str) -> Failure {
    Failure::new(stage, kind, message)
}
