//! The Rust half of `cargo xtask compare`: measures this library and prints one line of JSON for each figure,
//! `{"name": ..., "value": ...}`, with the same names as the half that measures upstream Mitogen.
//!
//! usage: measure_rust GROUP...     with GROUP one of local, hops, tree, ssh, files, link100, minify
//!
//! `benches/upstream/measure.py` defines the names and the `MEASURE_*` variables, which name what to connect to.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mitogen::files::{Sources, TransferOptions, put};
use mitogen::modules::{Finder, FinderOptions};
use mitogen::pickle::{Binary, Blob};
use mitogen::transports::{builtin, fork::Fork, local::Local};
use mitogen::{
    ChildSettings, ConnectHandle, ConnectRequest, Context, Master, MasterOptions, Python, Transport, Value,
};
use mitogen_benches::{Listening, each, library};
use mitogen_core::runtime::{BootRequest, ChildConfig};
use mitogen_minify::{minimize_all, minimize_source};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn show(name: &str, value: f64) {
    println!("{}", serde_json::json!({ "name": name, "value": value }));
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|_| format!("{name} must be set").into())
}

fn options() -> Result<MasterOptions> {
    let settings = ChildSettings::new(Python::with_interpreter([variable("MEASURE_PYTHON")?]));
    Ok(MasterOptions::default().settings(settings))
}

fn master() -> Result<Master> {
    Ok(Master::start(options()?)?)
}

/// A master that serves the modules in `dir`.
fn master_with(dir: &Path) -> Result<Master> {
    let finder = Finder::new(&FinderOptions::default().path(dir))?;
    Ok(Master::start(options()?.modules(vec![Arc::new(finder)]))?)
}

/// The CPU time of this process in seconds.
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
    Local::default()
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
    let children = thirty(&master)?;
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
    forks(&master, &child)?;
    let plan = master.connector().plan(&ConnectRequest {
        transport: &local_transport(),
        name: None,
        via: None,
        settings: master.settings(),
    })?;
    let argv: usize = plan.argv().iter().map(|arg| arg.len() + 1).sum();
    let config = ChildConfig::new(1, vec![0], "local.1");
    let boot = master.settings().runtime.boot(&BootRequest::new(&config, "test"))?;
    show("local.start_bytes", (argv + boot.preamble().len()) as f64);
    master.shutdown();
    Ok(())
}

/// Forks of a context, each with a first call.
fn forks(master: &Master, parent: &Context) -> Result<()> {
    let fork = Fork::default();
    let copy = || -> Result<Context> {
        let copy = master.connect_via(parent, &fork)?;
        ping(copy.context())?;
        Ok(copy.context().clone())
    };
    // The first one sends what the parent role needs.
    copy()?.shutdown()?;
    let (mut spent, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let start = Instant::now();
        copies.push(copy()?);
        spent.push(start.elapsed().as_secs_f64());
    }
    spent.sort_by(f64::total_cmp);
    show("local.fork_call_ms", spent[spent.len() / 2] * 1e3);
    for copy in copies {
        copy.shutdown()?;
    }
    Ok(())
}

/// A chain of five children.
fn hops() -> Result<()> {
    let master = master()?;
    let mut chain: Vec<Context> = Vec::new();
    for _ in 0..5 {
        let next = match chain.last() {
            None => master.connect(&local_transport())?,
            Some(via) => master.connect_via(via, &local_transport())?,
        };
        chain.push(next.wait()?);
    }
    let mut spent = Vec::new();
    for (at, context) in chain.iter().enumerate() {
        ping(context)?;
        let start = Instant::now();
        const TIMES: u32 = 2000;
        for _ in 0..TIMES {
            ping(context)?;
        }
        spent.push(start.elapsed().as_secs_f64() / f64::from(TIMES) * 1e6);
        show(&format!("hops.call{}_us", at + 1), spent[at]);
    }
    show("hops.further_us", (spent[4] - spent[0]) / 4.0);
    master.shutdown();
    Ok(())
}

/// Thirty local children, connected concurrently, with one call into each.
fn thirty(master: &Master) -> Result<Vec<ConnectHandle>> {
    let connected =
        (0..30).map(|_| master.connect(&local_transport())).collect::<std::result::Result<Vec<_>, _>>()?;
    for child in &connected {
        child.wait()?;
        ping(child.context())?;
    }
    Ok(connected)
}

/// A running session, and commands that use it.
fn tree() -> Result<()> {
    let master = master()?;
    let start = Instant::now();
    thirty(&master)?;
    show("tree.connect30_ms", start.elapsed().as_secs_f64() * 1e3);
    master.shutdown();
    let tree = Listening::start(Path::new(&variable("MEASURE_MITOGEN")?), &variable("MEASURE_PYTHON")?, 30)?;
    for (name, targets) in [("tree.run1_ms", "n01"), ("tree.run30_ms", "n")] {
        let mut failed = None;
        let seconds = each(10, || {
            if let Err(error) = tree.run_true(targets) {
                failed = Some(error);
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        show(name, seconds * 1e3);
    }
    Ok(())
}

fn transport(name: &str, options: serde_json::Value) -> Result<Box<dyn Transport>> {
    let registry = builtin();
    let kind = registry.get(name).ok_or("no such transport")?;
    Ok(kind.create(options)?)
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

/// Copies a file of 64 MiB to a child.
fn files() -> Result<()> {
    const MIB: usize = 64;
    let source = env::temp_dir().join(format!("measure_rust.{}", std::process::id()));
    std::fs::write(&source, noise(MIB << 20))?;
    let outcome = put_files(&source, MIB);
    std::fs::remove_file(&source)?;
    outcome
}

fn put_files(source: &Path, mib: usize) -> Result<()> {
    let master = master()?;
    let sources = Sources::scan(&[source])?;
    let host = master.connect(&*ssh_transport("MEASURE_SSH_PORT")?)?.wait()?;
    let local = master.connect(&local_transport())?.wait()?;
    // Otherwise an equal file of an earlier round would not be sent.
    let options = TransferOptions::default().resume(false);
    for (name, child) in [("files.local64_mib_s", local), ("files.ssh64_mib_s", host)] {
        let directory: String = child.call("tempfile.mkdtemp", ())?;
        let place = format!("{directory}/copy");
        let mut failed = None;
        let mut copy = || {
            if let Err(error) = put(&child, &sources, place.as_bytes(), &options, |_| ()) {
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

/// ssh, sudo and a first call over the link at `SSH_PORT`, in one round trip.
fn link() -> Result<()> {
    let dir = tempfile::tempdir()?;
    package_of_fifty(dir.path())?;
    let master = master_with(dir.path())?;
    let sudo = transport("sudo", serde_json::json!({}))?;
    let start = Instant::now();
    let host = master.connect(&*ssh_transport("MEASURE_LINK_PORT")?)?;
    let root = master.connect_via(host.context(), &*sudo)?;
    let _: u32 = root.context().call("fifty.m49.value", ())?;
    show("link100.ssh_sudo_call_ms", start.elapsed().as_secs_f64() * 1e3);
    master.shutdown();
    link_modules()
}

/// A call into a builtin, and the first call into a package of fifty modules, over the slow link.
fn link_modules() -> Result<()> {
    let dir = tempfile::tempdir()?;
    package_of_fifty(dir.path())?;
    let master = master_with(dir.path())?;
    let host = master.connect(&*ssh_transport("MEASURE_LINK_PORT")?)?.wait()?;
    ping(&host)?;
    let start = Instant::now();
    ping(&host)?;
    show("link100.builtin_call_ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let fifty: u32 = host.call("fifty.m0.value", ())?;
    show("link100.package50_call_ms", start.elapsed().as_secs_f64() * 1e3);
    if fifty != 50 {
        return Err("the package of fifty counts otherwise".into());
    }
    master.shutdown();
    Ok(())
}

/// Fifty modules, each of which imports the next, with some text in them. `measure.py` creates the same.
fn package_of_fifty(dir: &Path) -> Result<()> {
    let package = dir.join("fifty");
    std::fs::create_dir(&package)?;
    std::fs::write(package.join("__init__.py"), "")?;
    for at in 0..50 {
        let mut text = String::new();
        let following = if at < 49 { format!("m{}.value() + 1", at + 1) } else { "1".to_owned() };
        if at < 49 {
            writeln!(text, "from fifty import m{}", at + 1)?;
        }
        writeln!(text, "\n\ndef value():\n    return {following}\n")?;
        for number in 0..40 {
            writeln!(
                text,
                "\ndef unused_{number}(first, second):\n    return first * {number} + second - {at}\n"
            )?;
        }
        std::fs::write(package.join(format!("m{at}.py")), text)?;
    }
    Ok(())
}

fn minify() -> Result<()> {
    let sources = library::sources(variable("MEASURE_PYTHON")?.as_ref())?;
    let mut size = 0;
    let mut failed = 0;
    for source in &sources {
        match minimize_source(source) {
            Ok(minimized) => size += minimized.len(),
            Err(_) => {
                size += source.len();
                failed += 1;
            }
        }
    }
    let seconds = each(10, || {
        for source in &sources {
            let _ = black_box(minimize_source(source));
        }
    });
    show("minify.library_ms", seconds * 1e3);
    let seconds = each(10, || drop(black_box(minimize_all(&sources))));
    show("minify.all_cores_ms", seconds * 1e3);
    show("minify.library_kib", size as f64 / 1024.0);
    show("minify.failures", f64::from(failed));
    Ok(())
}

fn main() -> Result<()> {
    let groups: Vec<String> = env::args().skip(1).collect();
    if groups.is_empty() {
        return Err("usage: measure_rust GROUP... (local, hops, tree, ssh, files, link100, minify)".into());
    }
    for group in groups {
        match group.as_str() {
            "local" => local()?,
            "hops" => hops()?,
            "tree" => tree()?,
            "ssh" => ssh()?,
            "files" => files()?,
            "link100" => link()?,
            "minify" => minify()?,
            other => {
                return Err(format!(
                    "unknown group {other}: use local, hops, tree, ssh, files, link100 or minify"
                )
                .into());
            }
        }
    }
    Ok(())
}
