//! Our half of `cargo xtask compare`: measures this library and prints one JSON line a figure,
//! `{"name": ..., "value": ..., "unit": ...}`, under the names that the stock half prints too.
//!
//! usage: measure_ours GROUP...     with GROUP one of local, ssh, files, link100
//!
//! What each name means, and the `MEASURE_*` variables that say what to connect to, stand in
//! `benches/stock/measure.py`. Modules are not served by our master yet, so the first calls here are
//! of functions that the child has.

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mitogen::files::{Options, Sources, put};
use mitogen::pickle::{Binary, Blob};
use mitogen::transports::{builtin, local::Local};
use mitogen::{ChildSettings, ConnectRequest, Context, Master, MasterOptions, PythonSpec, Transport, Value};
use mitogen_benches::each;
use mitogen_core::child::{self, ChildConfig};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn show(name: &str, value: f64) {
    println!("{}", serde_json::json!({ "name": name, "value": value }));
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|_| format!("{name} must be set").into())
}

fn master() -> Result<Master> {
    let python = PythonSpec { argv: vec![variable("MEASURE_PYTHON")?] };
    let settings = ChildSettings { python, ..ChildSettings::default() };
    Ok(Master::start(MasterOptions { settings, ..MasterOptions::default() })?)
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
    show(&format!("{group}.call_us"), start.elapsed().as_secs_f64() / f64::from(times) * 1e6);
    let count = 20 * times;
    let start = Instant::now();
    let mut waiting = Vec::with_capacity(count as usize);
    for _ in 0..count {
        waiting.push(context.call_async::<Value>("os.getpid", ())?);
    }
    for receiver in waiting {
        receiver.get()?;
    }
    show(&format!("{group}.pipelined_per_s"), f64::from(count) / start.elapsed().as_secs_f64());
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
    // The greater of the bytes and of none at all: the bytes, as they are.
    let echo = run("builtins.max", |context, function, blob| {
        let back: Binary = context.call(function, (blob, Binary::default()))?;
        if back.0 == blob.0 { Ok(()) } else { Err("other bytes came back".into()) }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    show(&format!("{group}.bulk16_mib_s"), argument);
    show(&format!("{group}.echo16_mib_s"), echo);
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

fn local_transport() -> Local {
    Local::new(mitogen::transports::local::Options::default())
}

fn local() -> Result<()> {
    let master = master()?;
    let mut spent = Vec::new();
    for _ in 0..15 {
        let start = Instant::now();
        let child = master.connect(&local_transport())?;
        ping(child.context())?;
        spent.push(start.elapsed().as_secs_f64());
    }
    spent.sort_by(f64::total_cmp);
    show("local.connect_ms", spent[spent.len() / 2] * 1e3);
    let child = master.connect(&local_transport())?.wait()?;
    calls("local", &child, 3000)?;
    bulk("local", &child)?;
    let mut children = Vec::new();
    for _ in 0..30 {
        children.push(master.connect(&local_transport())?);
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
    show("local.fanout30_per_s", all / start.elapsed().as_secs_f64());
    let plan = master.connector().plan(&ConnectRequest {
        transport: &local_transport(),
        name: None,
        via: None,
        settings: master.settings(),
    })?;
    let preamble = child::preamble(&ChildConfig::new(1, vec![0], "local.1"));
    let argv: usize = plan.argv.iter().map(|arg| arg.len() + 1).sum();
    show("local.start_bytes", (argv + preamble.len()) as f64);
    master.shutdown();
    Ok(())
}

fn transport(name: &str, options: serde_json::Value) -> Result<Box<dyn Transport>> {
    let registry = builtin();
    let kind = registry.get(name).ok_or("no such transport")?;
    Ok((kind.from_options)(options)?)
}

fn ssh_transport(port: &str) -> Result<Box<dyn Transport>> {
    let options = serde_json::json!({
        "hostname": variable("MEASURE_SSH_HOST")?,
        "port": variable(port)?.parse::<u16>()?,
        "username": variable("MEASURE_SSH_USER")?,
        "identity_file": variable("MEASURE_SSH_KEY")?,
        "check_host_keys": "ignore",
    });
    transport("ssh", options)
}

fn ssh() -> Result<()> {
    let master = master()?;
    let transport = ssh_transport("MEASURE_SSH_PORT")?;
    let start = Instant::now();
    let child = master.connect(&*transport)?.wait()?;
    show("ssh.connect_ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    ping(&child)?;
    show("ssh.first_call_ms", start.elapsed().as_secs_f64() * 1e3);
    calls("ssh", &child, 1500)?;
    let (start, used) = (Instant::now(), cpu());
    let mut children = Vec::new();
    for _ in 0..40 {
        children.push(master.connect(&*transport)?);
    }
    for child in &children {
        child.wait()?;
    }
    show("ssh.contexts40_s", start.elapsed().as_secs_f64());
    show("ssh.master_cpu_ms", (cpu() - used) / 40.0 * 1e3);
    master.shutdown();
    Ok(())
}

/// A file of 64 MiB to a file of the child's.
fn files() -> Result<()> {
    const MIB: usize = 64;
    let source = env::temp_dir().join(format!("measure_ours.{}", std::process::id()));
    std::fs::write(&source, noise(MIB << 20))?;
    let outcome = put_files(&source, MIB);
    std::fs::remove_file(&source)?;
    outcome
}

fn put_files(source: &Path, mib: usize) -> Result<()> {
    let master = master()?;
    let sources = Sources::survey(&[source])?;
    let host = master.connect(&*ssh_transport("MEASURE_SSH_PORT")?)?.wait()?;
    let local = master.connect(&local_transport())?.wait()?;
    for (name, child) in [("files.local64_mib_s", local), ("files.ssh64_mib_s", host)] {
        let directory: String = child.call("tempfile.mkdtemp", ())?;
        let place = format!("{directory}/copy");
        let mut failed = None;
        let mut copy = || {
            if let Err(error) = put(&child, &sources, place.as_bytes(), &Options::default(), |_| ()) {
                failed = Some(error);
            }
        };
        copy();
        let seconds = each(4, copy);
        child.call::<Value>("shutil.rmtree", (&directory,))?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        show(name, mib as f64 / seconds);
    }
    master.shutdown();
    Ok(())
}

/// ssh, sudo and a first call over whatever link `SSH_PORT` leads to, in one flight.
fn link() -> Result<()> {
    let master = master()?;
    let sudo = transport("sudo", serde_json::json!({}))?;
    let start = Instant::now();
    let host = master.connect(&*ssh_transport("MEASURE_LINK_PORT")?)?;
    let root = master.connect_via(host.context(), &*sudo)?;
    ping(root.context())?;
    show("link100.ssh_sudo_call_ms", start.elapsed().as_secs_f64() * 1e3);
    master.shutdown();
    Ok(())
}

fn main() -> Result<()> {
    let groups: Vec<String> = env::args().skip(1).collect();
    if groups.is_empty() {
        return Err("usage: measure_ours GROUP... (local, ssh, files, link100)".into());
    }
    for group in groups {
        match group.as_str() {
            "local" => local()?,
            "ssh" => ssh()?,
            "files" => files()?,
            "link100" => link()?,
            other => return Err(format!("unknown group {other}: use local, ssh, files or link100").into()),
        }
    }
    Ok(())
}
