//! The command line for ssh.

use std::collections::BTreeMap;

use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::quote_argv;

use crate::options::{CheckHostKeys, Options};

/// What ssh may wait for a host at most, in seconds; a larger number could be too large for it.
const LONGEST_TIMEOUT: f64 = 86_400.0;

/// What ssh is started with. For ssh the first value of an option counts, so ours stand before the
/// user's `ssh_args`.
pub(crate) fn argv(options: &Options, child: &ChildCommand) -> Vec<String> {
    let mut argv = vec![options.ssh_path.clone()];
    // No terminal on the far side, whatever ssh_config requests: it would mangle the link.
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
        set(&mut argv, &format!("ServerAliveInterval={}", options.keepalive_interval));
        set(&mut argv, &format!("ServerAliveCountMax={}", options.keepalive_count));
    }
    if options.may_ask() {
        // One try for each method: a password that was refused once is not sent again. The method
        // whose prompt names the host in every version of OpenSSH comes first.
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
        // Does without the question that `ask` would put to a terminal, with the same outcome.
        CheckHostKeys::Accept => set(&mut argv, "StrictHostKeyChecking=accept-new"),
        CheckHostKeys::Ignore => {
            set(&mut argv, "StrictHostKeyChecking=no");
            set(&mut argv, "UserKnownHostsFile=/dev/null");
            set(&mut argv, "GlobalKnownHostsFile=/dev/null");
        }
    }
    argv.extend(options.ssh_args.iter().cloned());
    // We end an ssh that takes too long ourselves, and a little earlier. This is for when we have been
    // killed: an ssh without a terminal does not notice that, and a silent host would keep it for ever.
    let seconds = options.connect_timeout.ceil().clamp(1.0, LONGEST_TIMEOUT) as u32 + 2;
    set(&mut argv, &format!("ConnectTimeout={seconds}"));
    // The far login shell reads one string.
    argv.extend([options.hostname.clone(), quote_argv(&child.argv)]);
    argv
}

/// Environment changes: no window pops up on somebody's desktop to ask for a password.
pub(crate) fn environment() -> BTreeMap<String, Option<String>> {
    let removed = ["DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS"].map(|name| (name.to_owned(), None));
    let mut environment = BTreeMap::from(removed);
    environment.insert("SSH_ASKPASS_REQUIRE".to_owned(), Some("never".to_owned()));
    environment
}

fn set(argv: &mut Vec<String>, option: &str) {
    argv.extend(["-o".to_owned(), option.to_owned()]);
}
