//! The user's configuration of OpenSSH, as `ssh -G` prints it, and the defaults where there is no `ssh`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mitogen_core::dialogue::{Failure, FailureKind, Stage};
use mitogen_ssh::Options;
use nix::unistd::{Uid, User};

use crate::failures::{failure, timeout, unsupported};

/// What a login needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The name or address to connect to.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    /// The name under which the host key is looked up.
    pub(crate) alias: String,
    pub(crate) identities: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    /// The agent's socket: unset for that of the environment.
    pub(crate) agent: Agent,
    /// Files of known hosts; new keys are added to the first.
    pub(crate) user_known_hosts: Vec<PathBuf>,
    pub(crate) global_known_hosts: Vec<PathBuf>,
}

/// Which agent is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// That of `SSH_AUTH_SOCK`.
    Environment,
    None,
    Socket(PathBuf),
}

/// The longest configuration that is read, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// Reads the configuration for the host of `options`.
pub(crate) fn read(options: &Options, deadline: Instant) -> Result<Config, Failure> {
    let account = Account::of_this_process();
    match ask(options, deadline)? {
        Some(text) => parse(&text, options, &account),
        None => Ok(defaults(options, &account)),
    }
}

/// The account that runs this program.
struct Account {
    name: String,
    home: PathBuf,
}

impl Account {
    fn of_this_process() -> Self {
        let entry = User::from_uid(Uid::current()).ok().flatten();
        let (name, home) = entry.map(|user| (user.name, user.dir)).unwrap_or_default();
        Self { name, home }
    }

    /// Expands what `ssh -G` leaves in paths: a leading `~/` and the tokens of `ssh_config`. `None` for other tokens.
    fn path(&self, text: &str, host: &str, user: &str) -> Option<PathBuf> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            expanded.push_str(before);
            let mut chars = after.chars();
            match chars.next()? {
                '%' => expanded.push('%'),
                'd' => expanded.push_str(self.home.to_str()?),
                'h' => expanded.push_str(host),
                'r' => expanded.push_str(user),
                'u' => expanded.push_str(&self.name),
                _ => return None,
            }
            rest = chars.as_str();
        }
        expanded.push_str(rest);
        Some(match expanded.strip_prefix("~/") {
            Some(below) => self.home.join(below),
            None => PathBuf::from(expanded),
        })
    }
}

/// Runs `ssh -G`; `None` if there is no such program.
fn ask(options: &Options, deadline: Instant) -> Result<Option<String>, Failure> {
    let mut command = Command::new(&options.ssh_path);
    command.arg("-G");
    if let Some(user) = &options.username {
        command.args(["-l", user]);
    }
    if let Some(port) = options.port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(&options.ssh_args).arg("--").arg(&options.hostname);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("cannot start {}: {error}", options.ssh_path);
            return Err(
                failure(Stage::Spawn, FailureKind::SpawnFailed, message).with_hint("check `ssh_path`")
            );
        }
    };
    // A thread each, because a `Match exec` of the configuration may print a lot, or hang.
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(stream) = stream {
                // What was read before an error is enough for a message.
                let _ = stream.take(MAX_OUTPUT).read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as _));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            ended => {
                // It is ours and not waited for yet, so the pid is its own.
                let _ = child.kill();
                let _ = child.wait();
                return Err(match ended {
                    Err(error) => failure(
                        Stage::Spawn,
                        FailureKind::SpawnFailed,
                        format!("cannot wait for ssh -G: {error}"),
                    ),
                    Ok(_) => timeout(Stage::Spawn),
                });
            }
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    if !status.success() {
        let stderr = stderr.join().unwrap_or_default();
        let said = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim();
        let message = format!("ssh -G rejected its options or the configuration: {said}");
        return Err(failure(Stage::Spawn, FailureKind::BadOption, message)
            .with_hint("check `ssh_args` and the user's ssh_config"));
    }
    Ok(Some(stdout))
}

/// The values of a login without any configuration.
fn defaults(options: &Options, account: &Account) -> Config {
    let ssh = account.home.join(".ssh");
    let keys = ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| ssh.join(name)).into();
    let mut config = Config {
        host: options.hostname.clone(),
        port: options.port.unwrap_or(crate::tcp::DEFAULT_PORT),
        user: options.username.clone().unwrap_or_else(|| account.name.clone()),
        alias: options.hostname.clone(),
        identities: keys,
        identities_only: false,
        agent: Agent::Environment,
        user_known_hosts: vec![ssh.join("known_hosts"), ssh.join("known_hosts2")],
        global_known_hosts: vec![
            PathBuf::from("/etc/ssh/ssh_known_hosts"),
            PathBuf::from("/etc/ssh/ssh_known_hosts2"),
        ],
    };
    apply_identity(&mut config, options);
    config
}

/// `identity_file` comes before the keys of the configuration, as with `ssh -i`, or replaces them.
fn apply_identity(config: &mut Config, options: &Options) {
    let alone = options.identities_only && (options.identity_file.is_some() || options.password.is_some());
    config.identities_only |= alone;
    if let Some(file) = &options.identity_file {
        let file = Path::new(file).to_owned();
        if alone {
            config.identities.clear();
        }
        config.identities.retain(|known| *known != file);
        config.identities.insert(0, file);
    }
}

/// Reads the output of `ssh -G`: a keyword and its value in each line.
fn parse(text: &str, options: &Options, account: &Account) -> Result<Config, Failure> {
    let mut config = defaults(options, account);
    config.identities.clear();
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let value = |name: &str| lines.iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim());
    for (keyword, what) in [("proxyjump", "ProxyJump"), ("proxycommand", "ProxyCommand")] {
        if value(keyword).is_some_and(|value| value != "none") {
            return Err(unsupported(&format!("`{what}`, which ssh_config sets for this host")));
        }
    }
    if let Some(host) = value("hostname") {
        config.host = host.to_owned();
        config.alias = host.to_owned();
    }
    if let Some(alias) = value("hostkeyalias").filter(|alias| *alias != "none") {
        config.alias = alias.to_owned();
    }
    if let Some(user) = value("user") {
        config.user = user.to_owned();
    }
    if let Some(port) = value("port").and_then(|port| port.parse().ok()) {
        config.port = port;
    }
    config.identities_only = value("identitiesonly") == Some("yes");
    let path = |text: &str| account.path(text, &config.host, &config.user);
    let paths = |name: &str| -> Option<Vec<PathBuf>> {
        let words = value(name)?.split_whitespace().filter(|word| *word != "none");
        Some(words.filter_map(path).collect())
    };
    let (users, globals) = (paths("userknownhostsfile"), paths("globalknownhostsfile"));
    let identities: Vec<PathBuf> = lines
        .iter()
        .filter(|(key, value)| *key == "identityfile" && *value != "none")
        .filter_map(|(_, value)| path(value))
        .collect();
    let agent = match value("identityagent") {
        None | Some("SSH_AUTH_SOCK") => Agent::Environment,
        Some("none") => Agent::None,
        Some(variable) if variable.starts_with('$') => match std::env::var_os(&variable[1..]) {
            Some(socket) => Agent::Socket(socket.into()),
            None => Agent::None,
        },
        Some(socket) => path(socket).map_or(Agent::None, Agent::Socket),
    };
    config.user_known_hosts = users.unwrap_or(config.user_known_hosts);
    config.global_known_hosts = globals.unwrap_or(config.global_known_hosts);
    config.identities = identities;
    config.agent = agent;
    apply_identity(&mut config, options);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { name: "anna".into(), home: "/home/anna".into() }
    }

    const TEXT: &str = "\
user deploy
hostname 10.0.0.7
port 2222
hostkeyalias web
identitiesonly no
identityfile ~/.ssh/id_ed25519
identityfile %d/keys/%h
identityfile %C/hash
identityagent none
userknownhostsfile /home/anna/.ssh/known_hosts ~/.ssh/more
globalknownhostsfile none
proxycommand none
";

    #[test]
    fn the_output_of_ssh_is_read() {
        let config = parse(TEXT, &Options::new("web"), &account()).unwrap();
        assert_eq!((config.host.as_str(), config.port, config.user.as_str()), ("10.0.0.7", 2222, "deploy"));
        assert_eq!((config.alias.as_str(), config.agent), ("web", Agent::None));
        let identities: Vec<_> = config.identities.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(identities, ["/home/anna/.ssh/id_ed25519", "/home/anna/keys/10.0.0.7"]);
        assert_eq!(config.user_known_hosts[1], Path::new("/home/anna/.ssh/more"));
        assert!(config.global_known_hosts.is_empty());
    }

    #[test]
    fn an_identity_file_replaces_the_others_if_it_is_the_only_one() {
        let options = Options::new("web").identity_file("/key");
        let config = parse(TEXT, &options, &account()).unwrap();
        assert_eq!((config.identities, config.identities_only), (vec![PathBuf::from("/key")], true));
        let config = parse(TEXT, &options.identities_only(false), &account()).unwrap();
        assert_eq!((config.identities.len(), config.identities_only), (3, false));
    }

    #[test]
    fn jump_hosts_are_refused_with_a_hint() {
        for line in ["proxyjump bastion", "proxycommand nc %h %p"] {
            let error = parse(
                &format!("{TEXT}{line}\n").replace("proxycommand none\n", ""),
                &Options::new("web"),
                &account(),
            );
            let error = error.unwrap_err();
            assert_eq!((error.stage, error.kind), (Stage::Spawn, FailureKind::BadOption));
            assert!(error.hint.unwrap().contains("method = \"ssh\""));
        }
    }

    // One test, because a program that was just written cannot be started while another thread forks.
    #[test]
    fn programs_that_are_missing_silent_or_failing_are_handled() {
        use std::os::unix::fs::PermissionsExt;
        let options = Options::new("web").ssh_path("/nonexistent/ssh");
        let config = read(&options, Instant::now() + Duration::from_secs(30)).unwrap();
        assert_eq!((config.host.as_str(), config.port, config.agent), ("web", 22, Agent::Environment));
        assert!(config.user_known_hosts[0].ends_with(".ssh/known_hosts"));
        let directory = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            Options::new("web").ssh_path(path.display().to_string())
        };
        let silent = program("silent", "exec sleep 600");
        let error = read(&silent, Instant::now() + Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind, FailureKind::Timeout, "{error}");
        let failing = program("failing", "echo line 3: bad option >&2; exit 255");
        let error = read(&failing, Instant::now() + Duration::from_secs(30)).unwrap_err();
        assert!(error.message.contains("line 3: bad option"), "{error}");
    }
}
