//! What ssh asks and says.
//!
//! ssh speaks English everywhere. Its password prompts name the user and the host; only those that
//! name our host are answered, and once. At debug levels ssh also shows the server's banner, so
//! there prompts count only after ssh has said that it authenticates. Everything else is read when
//! ssh has ended, and only if it ended with 255, its own status: what a far shell prints does not
//! pass for ssh's words.

use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, Rule, START, Shown, Source, Stage, interpreter_exits,
    literal,
};

use crate::options::Options;

pub(crate) fn dialogue(options: &Options) -> Dialogue {
    let mut exits = host_exits();
    exits.extend(authentication_exits(options));
    exits.extend(closed_exits());
    exits.extend(far_exits());
    exits.extend(interpreter_exits());
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

/// ssh has said that it authenticates; it says so at debug levels only.
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
        // An empty one makes ssh go on without the key.
        None => Action::Send("\n".to_owned()),
    };
    rules.push(partial("^Enter passphrase for (key )?.*: ?$", passphrase));
    for state in [begun, SENT] {
        let elsewhere = failure(
            FailureKind::AuthenticationFailed,
            "ssh wants a password for another host, and it was not given",
        )
        .with_hint(
            "a jump host asks, or ssh_config gives this host another name: then set `prompt_host` to that name",
        );
        let [password, _] = password_prompts(r"[^\s]+");
        rules.push(partial(&password, Action::Fail(elsewhere)).in_state(state));
        let more = failure(FailureKind::AuthenticationFailed, "the host asks for more than a password")
            .with_hint("one-time codes and the like cannot be given here; use a key");
        rules.push(partial(r"^\([^@\s]+@[^\s]+\) .*: ?$", Action::Fail(more)).in_state(state));
        let unnamed =
            failure(FailureKind::AuthenticationFailed, "ssh does not say which host asks for the password")
                .with_hint(
                    "OpenSSH 8.4 and later does; or allow PasswordAuthentication on the host, or use a key",
                );
        rules.push(partial("^Password: ?$", Action::Fail(unnamed)).in_state(state));
    }
    let question =
        failure_at(Stage::HostKey, FailureKind::HostKeyUnknown, "ssh asks whether the host's key is right")
            .with_hint("`ssh_args` or ssh_config contradict `check_host_keys`");
    rules.push(partial(r"\(yes/no(/\[fingerprint\])?\)\? ?$", Action::Fail(question)));
    let pin = failure(FailureKind::AuthenticationFailed, "a key on a token asks for its PIN")
        .with_hint("unlock it in an agent first");
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
        connect(FailureKind::HostUnreachable, "the host cannot be reached")
            .with_hint("check the address, the route and firewalls on the way")
    };
    vec![
        own(
            r"(REMOTE HOST IDENTIFICATION HAS CHANGED|^Host key for .* has changed)",
            failure_at(
                Stage::HostKey,
                FailureKind::HostKeyChanged,
                "the host's key is not the one that is known",
            )
            .with_hint("find out why before you remove the old key with ssh-keygen -R HOST"),
        ),
        own(
            r"^(Host key verification failed|No [^\s]+ host key is known for )",
            failure_at(Stage::HostKey, FailureKind::HostKeyUnknown, "the host's key is not known")
                .with_hint("add it to known_hosts, or set `check_host_keys = \"accept\"`"),
        ),
        own(
            r"^ssh: Could not resolve hostname ",
            failure_at(Stage::Resolve, FailureKind::NameNotResolved, "the host's name cannot be resolved")
                .with_hint("check `hostname`"),
        ),
        own(
            r"^ssh: connect to (host|address) .*: Connection refused",
            connect(FailureKind::ConnectionRefused, "the host refused the connection")
                .with_hint("is an sshd listening at that port?"),
        ),
        own(
            r"^channel \d+: open failed: .*Connection refused",
            connect(FailureKind::ConnectionRefused, "the host refused the connection from the jump host")
                .with_hint("is an sshd listening at that port?"),
        ),
        own(
            r"^channel \d+: open failed: .*(Name or service|hostname|nodename)",
            failure_at(
                Stage::Resolve,
                FailureKind::NameNotResolved,
                "the jump host cannot resolve the host's name",
            )
            .with_hint("check `hostname`"),
        ),
        own(r"^(channel \d+: open failed: |stdio forwarding failed)", unreachable()),
        own(r"^ssh: connect to (host|address) ", unreachable()),
        own(r"^(Connection timed out during banner exchange|Connection to .* timed out)", unreachable()),
        own(
            r"^(Unable to negotiate with |no matching .* found|Protocol major versions differ)",
            connect(FailureKind::Protocol, "ssh and the host's sshd have no algorithm in common").with_hint(
                "one of them is too old for the other; see KexAlgorithms and HostKeyAlgorithms in ssh_config",
            ),
        ),
        own(
            r"^(command-line: line \d+: |command-line line \d+: |unknown option|usage: ssh|Bad port |.*: line \d+: Bad configuration option|.*terminating, \d+ bad configuration options|Cannot execute command-line and remote command|Bad owner or permissions on )",
            failure_at(Stage::Spawn, FailureKind::BadOption, "ssh does not take its options")
                .with_hint("see `ssh_args` and the user's ssh_config"),
        ),
    ]
}

fn authentication_exits(options: &Options) -> Vec<ExitRule> {
    let denied = failure(FailureKind::AuthenticationFailed, "the host accepted none of the keys")
        .with_hint("check `username` and `identity_file`, or ssh-add the key");
    let mut exits = vec![own(
        r"Too many authentication failures",
        failure(FailureKind::AuthenticationFailed, "the host lost patience with the keys that were offered")
            .with_hint("name the right key with `identity_file`, so that no others are tried"),
    )];
    if options.password.is_some() {
        exits.push(own(DENIED, incorrect()).in_state(SENT));
        exits.push(own(
            DENIED,
            failure(FailureKind::AuthenticationFailed, "the host takes no passwords")
                .with_hint("use a key, or allow PasswordAuthentication on the host"),
        ));
    } else {
        exits.push(own(r"Permission denied \([^)]*(password|keyboard-interactive)", required()));
        exits.push(own(DENIED, denied));
    }
    exits
}

/// ssh's verdict, with or without the user and host in front.
const DENIED: &str = r"^([^\s]+@[^\s]+: )?Permission denied( \(|\.|$)";

/// Ends before authentication. They stand behind what explains them: when a jump host refuses us,
/// ssh says that, and then that the connection was closed; and only the latter is worth another try.
fn closed_exits() -> Vec<ExitRule> {
    let crowded = failure_at(
        Stage::Connect,
        FailureKind::ConnectionClosed,
        "the host closed the connection before authentication",
    )
    .with_hint(
        "its sshd may have too many connections in progress (MaxStartups) or block this address for a while",
    );
    vec![
        own(
            r"^((kex|ssh)_exchange_identification|banner exchange): .*((Connection|connection) |read|Not allowed|MaxStartups)",
            crowded.clone(),
        ),
        own(r"^Connection (closed|reset) by ", crowded).in_state(START),
    ]
}

/// What the far side says once we are logged in.
fn far_exits() -> Vec<ExitRule> {
    let not_permitted =
        failure_at(Stage::Shell, FailureKind::NotPermitted, "the account may not run commands there")
            .with_hint("its shell is nologin or restricted, or logins are closed for now");
    let broke = failure_at(Stage::Shell, FailureKind::Eof, "the connection broke off");
    vec![
        ExitRule::new(not_permitted).showing(
            Source::Any,
            r"^(This account is currently not available|This service allows sftp connections only|.*Unprivileged users are not permitted to log in|.*[Yy]our account (has expired|is locked|is disabled))",
        ),
        own(
            r"^(Timeout, server .* not responding|client_loop: send disconnect: |Connection to .* closed by remote host|Read from remote host .*: |packet_write_wait: )",
            broke,
        ),
    ]
}

/// With `LogLevel=ERROR` ssh says nothing when the host closes the connection during
/// authentication, as it does to expired accounts.
fn last_exits() -> Vec<ExitRule> {
    let closed =
        failure(FailureKind::AuthenticationFailed, "the host closed the connection during authentication")
            .with_hint("the account may be locked or expired");
    let silent = failure(FailureKind::AuthenticationFailed, "ssh gave up while authenticating")
        .with_hint("the account may be locked or expired; `ssh_debug_level = 1` shows more");
    let mut exits = vec![own("^Connection (closed|reset) by ", closed)];
    for state in [START, AUTHENTICATING, SENT] {
        exits.push(ExitRule::new(silent.clone()).status(SSH_ERROR).in_state(state));
    }
    exits
}

fn required() -> Failure {
    failure(FailureKind::PasswordRequired, "the host accepted none of the keys and wants a password")
        .with_hint("set `password`, or name a key with `identity_file`")
}

fn incorrect() -> Failure {
    failure(FailureKind::PasswordIncorrect, "the host refused the password")
        .with_hint("check `username` and `password`")
}

fn line(pattern: &str, action: Action) -> Rule {
    Rule::new(Source::Diag, Shown::Line, pattern, action)
}

fn partial(pattern: &str, action: Action) -> Rule {
    Rule::new(Source::Diag, Shown::Partial, pattern, action)
}

/// An end that ssh itself explained.
fn own(pattern: &str, failure: Failure) -> ExitRule {
    ExitRule::new(failure).status(SSH_ERROR).showing(Source::Diag, pattern)
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    failure_at(Stage::Authenticate, kind, message)
}

fn failure_at(stage: Stage, kind: FailureKind, message: &str) -> Failure {
    Failure::new(stage, kind, message)
}
