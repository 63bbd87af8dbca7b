//! Our half of `cargo xtask compare`: measures this library and prints one JSON line a figure,
//! `{"name": ..., "value": ..., "unit": ...}`, under the names that the stock half prints too.
//!
//! usage: measure_ours GROUP...     with GROUP one of local, ssh, link
//!
//! Environment: `MEASURE_PYTHON` (the interpreter of local children), and for `ssh` and `link`
//! `SSH_HOST`, `SSH_PORT`, `SSH_USER`, `SSH_KEY`, `SSH_PYTHON`, `SUDO_USER_NAME`.

use std::env;
use std::error::Error;
use std::time::Instant;

use mitogen::pickle::{Binary, Blob};
use mitogen::transports::{local::Local, ssh::Ssh, sudo::Sudo};
use mitogen::{ChildSettings, ConnectRequest, Context, Master, MasterOptions, PythonSpec, Value};
use mitogen_benches::each;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn show(name: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit }));
}

fn settings(variable: &str) -> ChildSettings {
    let python = PythonSpec { argv: env::var(variable).into_iter().collect() };
    ChildSettings { python, ..ChildSettings::default() }
}

fn master(variable: &str) -> Result<Master> {
    Ok(Master::start(MasterOptions { settings: settings(variable), ..MasterOptions::default() })?)
}

/// Seconds of processor time that this process has used.
fn cpu() -> f64 {
    // Fields 14 and 15 of proc_pid_stat(5), in clock ticks; the ticks are 100 a second on Linux.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn ping(context: &Context) -> Result<()> {
    let _: Value = context.call("os.getpid", ())?;
    Ok(())
}

fn calls(group: &str, context: &Context, times: u32) -> Result<()> {
    ping(context)?;
    let start = Instant::now();
    for _ in 0..times {
        ping(context)?;
    }
    show(&format!("{group}.call_us"), start.elapsed().as_secs_f64() / f64::from(times) * 1e6, "us");
    let count = 20 * times;
    let start = Instant::now();
    let mut waiting = Vec::with_capacity(count as usize);
    for _ in 0..count {
        waiting.push(context.call_async::<Value>("os.getpid", ())?);
    }
    for receiver in waiting {
        receiver.get()?;
    }
    show(&format!("{group}.pipelined_per_s"), f64::from(count) / start.elapsed().as_secs_f64(), "calls/s");
    Ok(())
}

fn bulk(group: &str, context: &Context) -> Result<()> {
    const MIB: usize = 16;
    let blob = Blob(noise(MIB << 20).into());
    let mut failed = None;
    let mut run = |function: &str, reply: fn(&Context, &str, &Blob) -> Result<()>| {
        let seconds = each(6, || {
            if let Err(error) = reply(context, function, &blob) {
                failed = Some(error);
            }
        });
        MIB as f64 / seconds
    };
    let argument = run("operator.length_hint", |context, function, blob| {
        let length: usize = context.call(function, (blob,))?;
        if length == blob.0.len() { Ok(()) } else { Err("a wrong length came back".into()) }
    });
    let echo = run("copy.copy", |context, function, blob| {
        let back: Binary = context.call(function, (blob,))?;
        if back.0 == blob.0 { Ok(()) } else { Err("other bytes came back".into()) }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    show(&format!("{group}.bulk16_mib_s"), argument, "MiB/s");
    show(&format!("{group}.echo16_mib_s"), echo, "MiB/s");
    Ok(())
}

/// Bytes that do not compress, the same in every run (xorshift).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

fn local() -> Result<()> {
    let master = master("MEASURE_PYTHON")?;
    let mut spent = Vec::new();
    for _ in 0..15 {
        let start = Instant::now();
        let child = master.connect(&Local::default())?;
        ping(child.context())?;
        spent.push(start.elapsed().as_secs_f64());
    }
    spent.sort_by(f64::total_cmp);
    show("local.connect_ms", spent[spent.len() / 2] * 1e3, "ms");
    let child = master.connect(&Local::default())?.wait()?;
    calls("local", &child, 3000)?;
    bulk("local", &child)?;
    let mut children = Vec::new();
    for _ in 0..30 {
        children.push(master.connect(&Local::default())?);
    }
    for child in &children {
        child.wait()?;
        ping(child.context())?;
    }
    let start = Instant::now();
    const ROUNDS: usize = 40;
    for _ in 0..ROUNDS {
        let waiting = children
            .iter()
            .map(|child| child.context().call_async::<Value>("os.getpid", ()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        for receiver in waiting {
            receiver.get()?;
        }
    }
    let all = (ROUNDS * children.len()) as f64;
    show("local.fanout30_per_s", all / start.elapsed().as_secs_f64(), "calls/s");
    let plan = master.connector().plan(&ConnectRequest {
        transport: &Local::default(),
        name: None,
        via: None,
        settings: master.settings(),
    })?;
    let argv: usize = plan.argv.iter().map(|arg| arg.len() + 1).sum();
    show("local.start_bytes", (argv + mitogen::preamble_bytes()) as f64, "bytes");
    master.shutdown();
    Ok(())
}

fn ssh_transport() -> Result<Ssh> {
    let value = |name: &str| env::var(name).map_err(|_| format!("{name} must be set"));
    let options = serde_json::json!({
        "hostname": value("SSH_HOST")?,
        "port": value("SSH_PORT")?.parse::<u16>()?,
        "username": value("SSH_USER")?,
        "identity_file": value("SSH_KEY")?,
        "check_host_keys": "ignore",
    });
    Ok(Ssh::from_json(options)?)
}

fn ssh() -> Result<()> {
    let master = master("SSH_PYTHON")?;
    let transport = ssh_transport()?;
    let start = Instant::now();
    let child = master.connect(&transport)?.wait()?;
    show("ssh.connect_ms", start.elapsed().as_secs_f64() * 1e3, "ms");
    let start = Instant::now();
    ping(&child)?;
    show("ssh.first_call_ms", start.elapsed().as_secs_f64() * 1e3, "ms");
    calls("ssh", &child, 1500)?;
    let (start, used) = (Instant::now(), cpu());
    let mut children = Vec::new();
    for _ in 0..40 {
        children.push(master.connect(&transport)?);
    }
    for child in &children {
        child.wait()?;
    }
    show("ssh.contexts40_s", start.elapsed().as_secs_f64(), "s");
    show("ssh.master_cpu_ms", (cpu() - used) / 40.0 * 1e3, "ms");
    master.shutdown();
    Ok(())
}

/// ssh, sudo and a first call over whatever link `SSH_PORT` leads to, in one flight.
fn link() -> Result<()> {
    let master = master("SSH_PYTHON")?;
    let user = env::var("SUDO_USER_NAME").unwrap_or_else(|_| "root".to_owned());
    let sudo = Sudo::from_json(serde_json::json!({ "username": user }))?;
    let start = Instant::now();
    let host = master.connect(&ssh_transport()?)?;
    let root = master.connect_via(host.context(), &sudo)?;
    ping(root.context())?;
    show("link100.ssh_sudo_call_ms", start.elapsed().as_secs_f64() * 1e3, "ms");
    master.shutdown();
    Ok(())
}

fn main() -> Result<()> {
    let groups: Vec<String> = env::args().skip(1).collect();
    if groups.is_empty() {
        return Err("usage: measure_ours GROUP... (local, ssh, link)".into());
    }
    for group in groups {
        match group.as_str() {
            "local" => local()?,
            "ssh" => ssh()?,
            "link" => link()?,
            other => return Err(format!("unknown group {other}: use local, ssh or link").into()),
        }
    }
    Ok(())
}
