//! The command line for ssh.

use std::collections::BTreeMap;
use std::time::Duration;

use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::quote_argv;

use crate::options::{CheckHostKeys, Options};

/// The greatest `ConnectTimeout` passed to ssh, in seconds; greater values may exceed its limit.
const MAX_CONNECT_TIMEOUT: u64 = 86_400;

/// The arguments of ssh. The first value of an option counts, so the transport's own precede `ssh_args`.
pub(crate) fn argv(options: &Options, child: &ChildCommand) -> Vec<String> {
    let mut argv = vec![options.ssh_path.clone()];
    // No remote terminal, whatever ssh_config requests: it would alter the bytes of the link.
    argv.push("-T".to_owned());
    match options.ssh_debug_level {
        0 => set(&mut argv, "LogLevel=ERROR"),
        level => argv.push(format!("-{}", "v".repeat(level.into()))),
    }
    if let Some(username) = &options.username {
        argv.extend(["-l".to_owned(), username.clone()]);
    }
    if let Some(port) = options.port {
        argv.extend(["-p".to_owned(), port.to_string()]);
    }
    if options.identities_only && (options.identity_file.is_some() || options.password.is_some()) {
        set(&mut argv, "IdentitiesOnly=yes");
    }
    if let Some(file) = &options.identity_file {
        argv.extend(["-i".to_owned(), file.clone()]);
    }
    set(&mut argv, if options.compression { "Compression=yes" } else { "Compression=no" });
    if options.keepalive_enabled {
        set(&mut argv, &format!("ServerAliveInterval={}", whole_seconds(options.keepalive_interval)));
        set(&mut argv, &format!("ServerAliveCountMax={}", options.keepalive_count));
    }
    if options.may_ask() {
        // One attempt for each method: a password that was rejected is not sent again. The method whose prompt
        // contains the host name in every version of OpenSSH comes first.
        set(&mut argv, "NumberOfPasswordPrompts=1");
        set(
            &mut argv,
            "PreferredAuthentications=gssapi-with-mic,hostbased,publickey,password,keyboard-interactive",
        );
    } else {
        set(&mut argv, "BatchMode=yes");
    }
    match options.check_host_keys {
        CheckHostKeys::Enforce => set(&mut argv, "StrictHostKeyChecking=yes"),
        // Unlike `ask`, this does not prompt on the terminal; the outcome is the same.
        CheckHostKeys::Accept => set(&mut argv, "StrictHostKeyChecking=accept-new"),
        CheckHostKeys::Ignore => {
            set(&mut argv, "StrictHostKeyChecking=no");
            set(&mut argv, "UserKnownHostsFile=/dev/null");
            set(&mut argv, "GlobalKnownHostsFile=/dev/null");
        }
    }
    argv.extend(options.ssh_args.iter().cloned());
    // What ssh_config may set for logins by hand, and would keep the command from running or cut its input. Older
    // clients do not know all of these. Any option that is unknown is ignored from here on, because a list would
    // replace the one in ssh_config. The command line's own options have been read by then.
    set(&mut argv, "IgnoreUnknown=*");
    for option in ["RemoteCommand=none", "StdinNull=no", "SessionType=default", "ForkAfterAuthentication=no"]
    {
        set(&mut argv, option);
    }
    // The driver ends an ssh that takes too long, a little earlier than this. `ConnectTimeout` is for the case that
    // this process was killed: an ssh without a terminal does not notice, and would wait for a silent host forever.
    let seconds = whole_seconds(options.connect_timeout).clamp(1, MAX_CONNECT_TIMEOUT) + 2;
    set(&mut argv, &format!("ConnectTimeout={seconds}"));
    // The remote login shell gets one string.
    argv.extend([options.hostname.clone(), quote_argv(&child.argv)]);
    argv
}

/// Environment changes that keep ssh from opening a graphical password prompt.
pub(crate) fn environment() -> BTreeMap<String, Option<String>> {
    let removed = ["DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS"].map(|name| (name.to_owned(), None));
    let mut environment = BTreeMap::from(removed);
    environment.insert("SSH_ASKPASS_REQUIRE".to_owned(), Some("never".to_owned()));
    environment
}

/// The duration in seconds, rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn set(argv: &mut Vec<String>, option: &str) {
    argv.extend(["-o".to_owned(), option.to_owned()]);
}
