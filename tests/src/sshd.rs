//! An OpenSSH server: temporary host key, one authorised key, a free port, and a log to show on failure.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::cleanup::{Cleanup, Undo};
use crate::error::{Context, FixtureError, Result};
use crate::procs::Process;
use crate::wait::{self, TIMEOUT};
use crate::{leaks, run};

/// Options of an [`Sshd`].
#[derive(Clone, Debug)]
pub struct SshdOptions {
    address: IpAddr,
    port: Option<u16>,
    netns: Option<String>,
    password: bool,
    banner: Option<String>,
    lines: Vec<String>,
}

impl Default for SshdOptions {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: None,
            netns: None,
            password: true,
            banner: None,
            lines: Vec::new(),
        }
    }
}

impl SshdOptions {
    /// Text that the server sends before authentication.
    #[must_use]
    pub fn banner(mut self, text: &str) -> Self {
        self.banner = Some(text.to_owned());
        self
    }

    /// `MaxStartups`, for example `2:100:2`; unlimited by default.
    #[must_use]
    pub fn max_startups(self, value: &str) -> Self {
        self.line(&format!("MaxStartups {value}"))
    }

    /// `ForceCommand`: runs instead of the command that the client requests.
    #[must_use]
    pub fn force_command(self, command: &str) -> Self {
        self.line(&format!("ForceCommand {command}"))
    }

    /// `PermitRootLogin`; `yes` by default.
    #[must_use]
    pub fn permit_root_login(self, value: &str) -> Self {
        self.line(&format!("PermitRootLogin {value}"))
    }

    /// Disables passwords, so that only a key can log in.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.password = false;
        self
    }

    /// Any other line of `sshd_config`; replaces the fixture's own line with that keyword.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Listens at this address, inside this network namespace.
    #[must_use]
    pub(crate) fn inside(mut self, netns: &str, address: IpAddr, port: u16) -> Self {
        self.netns = Some(netns.to_owned());
        self.address = address;
        self.port = Some(port);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// OpenSSH is missing, or the server does not start; the error contains its log.
    pub fn start(self) -> Result<Sshd> {
        Sshd::start_with(&self)
    }
}

/// A running server. On drop it and its sessions are killed and reaped.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    cleanup: Option<Cleanup>,
    dir: TempDir,
    address: SocketAddr,
}

impl Sshd {
    /// A server with the defaults: root and every account can log in by key or password.
    ///
    /// # Errors
    /// As [`SshdOptions::start`].
    pub fn start() -> Result<Self> {
        SshdOptions::default().start()
    }

    /// Options for a different server.
    pub fn options() -> SshdOptions {
        SshdOptions::default()
    }

    fn start_with(options: &SshdOptions) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("sshd-").tempdir().context(|| "temporary directory")?;
        // The server reads the authorised keys as the user who logs in.
        set_mode(dir.path(), 0o755)?;
        make_keys(dir.path())?;
        if run::is_root() {
            // The chroot of the server's unprivileged process; Debian creates it when the service starts.
            std::fs::create_dir_all("/run/sshd").context(|| "/run/sshd")?;
        }
        let mut cleanup = Cleanup::new(vec![Undo::Path(dir.path().to_owned())])?;
        let mut taken = String::new();
        for _ in 0..8 {
            let port = options.port.map_or_else(|| free_port(options.address), Ok)?;
            let address = SocketAddr::new(options.address, port);
            write_config(dir.path(), options, address)?;
            match spawn(dir.path(), options, address, &mut cleanup)? {
                Ok(child) => {
                    add_known_host(dir.path(), address)?;
                    return Ok(Self { child, cleanup: Some(cleanup), dir, address });
                }
                // Another process bound the port between our check and the server's bind.
                Err(log) if log.contains("already in use") => taken = log,
                Err(log) => return Err(FixtureError::new(format!("sshd did not come up:\n{log}"))),
            }
        }
        Err(FixtureError::new(format!("no free port for sshd:\n{taken}")))
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The host, as text.
    pub fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The private key that logs in to every account.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("user_key")
    }

    /// A `known_hosts` file with the server's key.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// Adds the server's key to `known_hosts` for `address`, which leads to it, such as that of a [`crate::DelayLink`].
    ///
    /// # Errors
    /// `known_hosts` cannot be written.
    pub fn also_at(&self, address: SocketAddr) -> Result<()> {
        add_known_host(self.dir.path(), address)
    }

    /// Everything the server has written to its log so far.
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// Plain `ssh` to this server as `user` by key, without the configuration of this machine. The caller adds the
    /// remote command.
    pub fn ssh(&self, user: &str) -> Command {
        self.ssh_by(user, self.port())
    }

    /// Like [`Sshd::ssh`], through another port of the same address; see [`Sshd::also_at`].
    pub fn ssh_by(&self, user: &str, port: u16) -> Command {
        let mut command = self.ssh_base(user, port);
        command.arg(format!("-oIdentityFile={}", self.key().display()));
        command.args(["-oIdentitiesOnly=yes", "-oBatchMode=yes", &self.host()]);
        command
    }

    /// Plain `ssh` as `user` by `password`, which an askpass program in the fixture's directory provides.
    ///
    /// # Errors
    /// The askpass program cannot be written.
    pub fn ssh_with_password(&self, user: &str, password: &str) -> Result<Command> {
        let helper = self.dir.path().join("askpass");
        let text = format!("#!/bin/sh\nprintf '%s\\n' '{}'\n", password.replace('\'', "'\\''"));
        std::fs::write(&helper, text).context(|| helper.display().to_string())?;
        set_mode(&helper, 0o700)?;
        let mut command = self.ssh_base(user, self.port());
        command.env("SSH_ASKPASS", &helper).env("SSH_ASKPASS_REQUIRE", "force").args([
            "-oPubkeyAuthentication=no",
            "-oNumberOfPasswordPrompts=1",
            &self.host(),
        ]);
        Ok(command)
    }

    fn ssh_base(&self, user: &str, port: u16) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-oStrictHostKeyChecking=yes", "-oGlobalKnownHostsFile=none"]);
        command.arg(format!("-oUserKnownHostsFile={}", self.known_hosts().display()));
        command.args(["-l", user, "-p", &port.to_string()]);
        command
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of sshd on {}\n{}---", self.address, self.log());
        }
        // The cleanup kills the server and its sessions; the server is our child and must be reaped.
        self.cleanup = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_keys(dir: &Path) -> Result<()> {
    for name in ["host_key", "user_key"] {
        let file = dir.join(name);
        run::run(&[
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            name,
            "-f",
            &file.to_string_lossy(),
        ])?;
    }
    let authorized = dir.join("authorized_keys");
    std::fs::copy(dir.join("user_key.pub"), &authorized).context(|| authorized.display().to_string())?;
    set_mode(&authorized, 0o644)
}

fn write_config(dir: &Path, options: &SshdOptions, address: SocketAddr) -> Result<()> {
    let mut text = options.lines.join("\n");
    if let Some(banner) = &options.banner {
        let file = dir.join("banner");
        std::fs::write(&file, banner).context(|| file.display().to_string())?;
        text += &format!("\nBanner {}", file.display());
    }
    if let Some(mark) = leaks::mark() {
        text += &format!("\nSetEnv {}={mark}", leaks::MARK);
    }
    text.push('\n');
    // Without PAM the server reads the shadow file itself, so that no policy of this machine applies.
    let defaults = format!(
        "ListenAddress {address}
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin yes
PasswordAuthentication {password}
KbdInteractiveAuthentication no
MaxStartups 1000
MaxSessions 1000
LogLevel VERBOSE
Subsystem sftp internal-sftp
",
        dir = dir.display(),
        password = if options.password { "yes" } else { "no" },
    );
    // Of two lines with one keyword the server uses the first for most keywords, but the last for some.
    let given = |line: &str| options.lines.iter().any(|given| same_keyword(given, line));
    text.extend(defaults.split_inclusive('\n').filter(|line| !given(line)));
    let file = dir.join("sshd_config");
    std::fs::write(&file, &text).context(|| file.display().to_string())?;
    // Newer servers ban an address that connects without logging in, as the check for the port does. Older ones do not
    // know the keyword.
    let sshd = run::find("sshd")?;
    let known = Command::new(sshd).args(["-t", "-oPerSourcePenalties=no", "-f"]).arg(&file).output();
    if known.context(|| "sshd -t")?.status.success() {
        std::fs::write(&file, text + "PerSourcePenalties no\n").context(|| file.display().to_string())?;
    }
    Ok(())
}

fn same_keyword(one: &str, other: &str) -> bool {
    let keyword = |line: &str| line.split_whitespace().next().map(str::to_ascii_lowercase);
    keyword(one) == keyword(other)
}

/// Starts the server and waits for its greeting; the inner error is its log if it ended instead.
fn spawn(
    dir: &Path,
    options: &SshdOptions,
    address: SocketAddr,
    cleanup: &mut Cleanup,
) -> Result<std::result::Result<Child, String>> {
    // The server re-executes itself and needs an absolute path.
    let sshd = run::find("sshd")?;
    let mut command = match &options.netns {
        None => Command::new(sshd),
        Some(netns) => {
            let mut command = Command::new(run::find("ip")?);
            command.args(["netns", "exec", netns]).arg(sshd);
            command
        }
    };
    let log = File::create(dir.join("log")).context(|| "log of sshd")?;
    command.args(["-D", "-e", "-f"]).arg(dir.join("sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child = command.spawn().context(|| "sshd")?;
    let pid = i32::try_from(child.id()).context(|| "pid")?;
    if let Some(process) = Process::get(pid) {
        cleanup.add(Undo::Process(process.id))?;
    }
    let up = wait::until(TIMEOUT, || {
        let ended = child.try_wait().is_ok_and(|status| status.is_some());
        if ended { Some(false) } else { greets(address).then_some(true) }
    });
    if up == Some(true) {
        return Ok(Ok(child));
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(Err(read_log(dir)))
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else { return false };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && &greeting == b"SSH-"
}

fn add_known_host(dir: &Path, address: SocketAddr) -> Result<()> {
    let key = std::fs::read_to_string(dir.join("host_key.pub")).context(|| "host key")?;
    let host = host_alias(address);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("known_hosts"));
    file.and_then(|mut file| file.write_all(format!("{host} {key}").as_bytes())).context(|| "known_hosts")
}

/// The name of a server in `known_hosts`.
fn host_alias(address: SocketAddr) -> String {
    match (address.ip(), address.port()) {
        (ip, 22) => ip.to_string(),
        (ip, port) => format!("[{ip}]:{port}"),
    }
}

fn free_port(address: IpAddr) -> Result<u16> {
    let listener = TcpListener::bind((address, 0)).context(|| "a free port")?;
    Ok(listener.local_addr().context(|| "a free port")?.port())
}

fn read_log(dir: &Path) -> String {
    std::fs::read(dir.join("log"))
        .map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).context(|| path.display().to_string())
}
