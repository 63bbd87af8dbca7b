//! Fixtures for programs that do not link this crate, such as xtask and the benchmarks.
//!
//! `fixture pythons` prints each interpreter as a line of JSON. `fixture upstream PYTHON` prints a Python that imports
//! upstream Mitogen. `fixture bare ROUNDS PYTHON` measures the lower bounds: interpreter start and a socket round trip.
//! `fixture sshd [ONE_WAY_MS]` starts a server, an account with passwordless `sudo` and, with the argument, a delayed
//! link to the server; it prints the connection parameters as one line of JSON, and removes everything at end of file
//! on stdin.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use mitogen_tests::error::{Context, FixtureError, Result};
use mitogen_tests::users::Rule;
use mitogen_tests::{DelayLink, Python, Sshd, TestUser, UpstreamVenv, pythons};
use serde_json::json;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["pythons"] => list_pythons(),
        ["upstream", python] => upstream(Path::new(python)),
        ["bare", rounds, python] => bare(rounds, python),
        ["echo"] => echo(),
        ["sshd"] => sshd(None),
        ["sshd", one_way_ms] => sshd(Some(one_way_ms)),
        _ => {
            eprintln!("usage: fixture pythons | upstream PYTHON | bare ROUNDS PYTHON | sshd [ONE_WAY_MS]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fixture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list_pythons() -> Result<()> {
    for python in pythons() {
        let line = json!({
            "path": python.path,
            "version": python.version_text(),
            "supported": python.is_supported(),
            "public": python.is_public(),
        });
        println!("{line}");
    }
    Ok(())
}

fn upstream(path: &Path) -> Result<()> {
    let python = Python::at(path)
        .ok_or_else(|| FixtureError::new(format!("{} is not a Python interpreter", path.display())))?;
    println!("{}", UpstreamVenv::new(&python)?.python().display());
    Ok(())
}

fn sshd(one_way_ms: Option<&str>) -> Result<()> {
    let server = Sshd::start()?;
    let user = TestUser::options().sudo(Rule::NoPassword).create()?;
    let link = match one_way_ms {
        None => None,
        Some(text) => {
            let ms = text.parse().context(|| format!("{text:?} is not a number of milliseconds"))?;
            let link = DelayLink::new(server.address(), Duration::from_millis(ms))?;
            server.also_at(link.address())?;
            Some(link)
        }
    };
    let line = json!({
        "host": server.host(),
        "port": server.port(),
        "link_port": link.as_ref().map(DelayLink::port),
        "user": user.name(),
        "key": server.key(),
        "known_hosts": server.known_hosts(),
    });
    println!("{line}");
    // The caller keeps the pipe open while it runs; it closes even if the caller is killed.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop).context(|| "standard input")
}

/// Measures the start of an interpreter, and a round trip of one byte to another process.
fn bare(rounds: &str, python: &str) -> Result<()> {
    let rounds: u32 = rounds.parse().context(|| format!("{rounds:?} is not a number"))?;
    let start = Instant::now();
    for _ in 0..rounds {
        let status = Command::new(python).args(["-c", "pass"]).stdin(Stdio::null()).status();
        if !status.context(|| python.to_owned())?.success() {
            return Err(FixtureError::new(format!("{python} -c pass fails")));
        }
    }
    let each = start.elapsed().as_secs_f64() * 1e3 / f64::from(rounds);
    println!("{}", json!({"name": "bare.python_ms", "value": each}));

    let calls = 5000;
    let (mut near, far) = UnixStream::pair().context(|| "socketpair")?;
    let exe = std::env::current_exe().context(|| "own path")?;
    let far_out = far.try_clone().context(|| "socketpair")?;
    let mut child = Command::new(exe)
        .arg("echo")
        .stdin(std::os::fd::OwnedFd::from(far))
        .stdout(std::os::fd::OwnedFd::from(far_out))
        .spawn()
        .context(|| "echo process")?;
    let mut ping = || near.write_all(b"x").and_then(|()| near.read_exact(&mut [0])).context(|| "ping");
    // The first round trips wait for the process to start.
    for _ in 0..100 {
        ping()?;
    }
    let start = Instant::now();
    for _ in 0..calls {
        ping()?;
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
    println!("{}", json!({"name": "bare.socketpair_us", "value": each}));
    drop(near);
    child.wait().map(drop).context(|| "echo process")
}

/// The echo process. It does not buffer, so each byte costs one read and one write.
fn echo() -> Result<()> {
    use std::os::fd::AsFd;
    let open = || std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let mut socket = open().context(|| "standard input")?;
    let mut byte = [0];
    while socket.read(&mut byte).context(|| "read")? == 1 {
        socket.write_all(&byte).context(|| "write")?;
    }
    Ok(())
}
