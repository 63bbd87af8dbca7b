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
    let mut exits = local_exits();
    exits.extend(host_exits());
    exits.extend(authentication_exits(options));
    exits.extend(remote_exits());
    exits.extend(child.exits.iter().cloned());
    if options.ssh_debug_level == 0 {
        exits.push(proxy_exit());
    }
    exits.extend(closed_exits());
    exits.extend(last_exits());
    let stages = vec![
        (START.to_owned(), Stage::Connect),
        (AUTHENTICATING.to_owned(), Stage::Authenticate),
        (ASKED.to_owned(), Stage::Authenticate),
        (SENT.to_owned(), Stage::Authenticate),
        (ASKED_AGAIN.to_owned(), Stage::Authenticate),
    ];
    Dialogue { rules: rules(options), exits, stages, own_status: Some(SSH_ERROR) }
}

/// The names of the secrets.
pub(crate) const PASSWORD: &str = "password";
pub(crate) const PASSPHRASE: &str = "passphrase";

/// The state after ssh has reported that it authenticates, which it does at debug levels only.
const AUTHENTICATING: &str = "authenticating";
/// The state in a question of the expected host that has several lines. Only its first line names the host.
const ASKED: &str = "asked";
const SENT: &str = "sent";
/// The same in a question that follows the password.
const ASKED_AGAIN: &str = "asked_again";
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
    rules.push(line("^(debug[123]: |Transferred: sent |Bytes per second: sent )", Action::Pass));
    rules.push(line(CLOSED, Action::Pass));
    if !options.may_ask() {
        return rules;
    }
    let host = literal(options.prompt_host.as_ref().unwrap_or(&options.hostname));
    let question = format!(r"^\([^@\s]+@{host}\) ");
    // Before the prompts: PAM shows why it asks, and the next prompts are for a new password.
    for state in [begun, ASKED, SENT, ASKED_AGAIN] {
        rules.push(line(&format!(r"(^|\) ){EXPIRED}"), Action::Fail(expired())).in_state(state).any_case());
    }
    for (state, next) in [(begun, ASKED), (SENT, ASKED_AGAIN)] {
        rules.push(line(&question, Action::Pass).in_state(state).then(next).any_case());
    }
    let own = options.password_prompt.as_ref().map(|text| format!("{} ?$", literal(text.trim_end())));
    let unnamed = r"^([^\s]+'s )?password( for [^\s]+)?: ?$".to_owned();
    let named = password_prompts(&host);
    let first = named.iter().chain(&own).map(|pattern| (pattern, begun, SENT));
    let lines = named.iter().chain(&own).chain([&unnamed]).map(|pattern| (pattern, ASKED, ASKED_AGAIN));
    for (pattern, asked, again) in first.chain(lines) {
        match &options.password {
            Some(_) => {
                let send = Action::SendSecret(PASSWORD.to_owned());
                rules.push(partial(pattern, send).in_state(asked).then(SENT).any_case());
                rules.push(partial(pattern, Action::Fail(incorrect())).in_state(again).any_case());
            }
            None => rules.push(partial(pattern, Action::Fail(required())).in_state(asked).any_case()),
        }
    }
    let passphrase = match options.passphrase {
        Some(_) => Action::SendSecret(PASSPHRASE.to_owned()),
        // An empty passphrase makes ssh continue without the key.
        None => Action::Send("\n".to_owned()),
    };
    rules.push(partial("^Enter passphrase for (key )?.*: ?$", passphrase));
    for state in [begun, ASKED, SENT, ASKED_AGAIN] {
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
            .with_hint(
                "if this prompt is for the password, set `password_prompt`; other challenges are not supported, \
                 use a key",
            );
        rules.push(partial(r"^\([^@\s]+@[^\s]+\) .*: ?$", Action::Fail(more)).in_state(state));
        let unnamed = failure(
            FailureKind::AuthenticationFailed,
            "the password prompt does not contain the host name",
        )
        .with_hint(
            "set `password_prompt` to answer it, allow PasswordAuthentication on the host, or use a key",
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

/// What PAM and sshd print when the password must be changed before anything else.
const EXPIRED: &str = "(You are required to change your password|WARNING: Your password has expired|Your password has expired|Password change required|Changing password for )";

fn expired() -> Failure {
    failure(FailureKind::NotPermitted, "the password has expired and must be changed")
        .with_hint("log in by hand once and change it")
}

/// ssh's own words for a connection that ended before authentication.
const CLOSED: &str = r"^((kex|ssh)_exchange_identification|banner exchange|ssh_dispatch_run_fatal): |^Connection (closed|reset) by |^ssh: |^Connection to .* (closed|timed out)|^client_loop: ";

/// Errors of ssh on this machine. They come first, because ssh may also print what follows from them.
fn local_exits() -> Vec<ExitRule> {
    let rejected = |message: &str| failure_at(Stage::Spawn, FailureKind::BadOption, message);
    vec![
        own(
            r"^(ControlPath too long |unix_listener: |muxclient|ControlSocket .*: |path .* too long for Unix domain socket)",
            rejected("ssh cannot use its `ControlPath`").with_hint("set a shorter or another one in ssh_config"),
        )
        .among_unexplained()
        .quoting(),
        own(
            r"^(bind(:| \[?[0-9a-z.:%]+\]?).*: |getaddrinfo: |BindInterface |Could not request local forwarding|.*cannot listen to port: |socket: |ssh: connect to (host|address) .*: failure$)",
            rejected("ssh cannot open its socket on this machine")
                .with_hint("check `BindAddress`, `BindInterface` and forwardings in ssh_config and `ssh_args`"),
        )
        .quoting(),
        own(
            r"^([^:]*sh: )?(line \d+: |\d+: )?(exec: )*[^ ]+: (line \d+: )?(exec: )?([^ ]+: )?((command )?not found|No such file or directory|Permission denied|cannot execute.*|Exec format error)$",
            rejected("ssh cannot start its proxy command")
                .with_hint("check `ProxyCommand` in ssh_config and `ssh_args`"),
        )
        .among_unexplained()
        .quoting(),
        own(
            r"^(Can't open user config file |No user exists for uid |You don't exist|vdollar_percent_expand: |percent_expand: |percent_dollar_expand: |unknown key %|Invalid environment variable|.* line \d+: |command-line: line \d+: |command-line line \d+: |unknown option|usage: ssh|Bad port |.*terminating, \d+ bad configuration options|Cannot execute command-line and remote command|Bad owner or permissions on )",
            rejected("ssh rejected its options").with_hint("check `ssh_args` and the user's ssh_config"),
        )
        .among_unexplained()
        .quoting(),
    ]
}

/// A proxy command that has ended, and said why. Without a server's banner, which ssh shows at its debug levels only,
/// what ssh did not print before the connection was up comes from the proxy.
fn proxy_exit() -> ExitRule {
    let failure = failure_at(
        Stage::Connect,
        FailureKind::HostUnreachable,
        "the connection ended before authentication, through a proxy or with words of the host",
    )
    .with_hint("check `ProxyCommand` and `ProxyJump` in ssh_config and `ssh_args`");
    own("[^ ]", failure).in_state(START).among_unexplained().quoting()
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
        for state in [SENT, ASKED_AGAIN] {
            exits.push(own(DENIED, incorrect()).in_state(state));
        }
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
    let lost = failure_at(Stage::Shell, FailureKind::Eof, "the connection was lost");
    let mut exits = account_exits();
    exits.push(own(
        r"^(Timeout, server .* not responding|client_loop: send disconnect: |Connection to .* closed by remote host|Read from remote host .*: |packet_write_wait: )",
        lost,
    ));
    exits
}

/// What sshd and PAM print about an account that has logged in and may not run commands. For every transport that speaks
/// ssh, whatever its client is.
pub fn account_exits() -> Vec<ExitRule> {
    let not_permitted =
        failure_at(Stage::Shell, FailureKind::NotPermitted, "the account may not run commands on the host")
            .with_hint("its shell is nologin or restricted, or logins are disabled");
    vec![
        ExitRule::new(expired()).showing(Source::Any, format!("^{EXPIRED}")),
        ExitRule::new(not_permitted).showing(
            Source::Any,
            r"^(.*Unprivileged users are not permitted to log in|.*your account (has expired|is locked|is disabled))",
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
    for state in [START, AUTHENTICATING, ASKED, SENT, ASKED_AGAIN] {
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
