//! Connects to one host and calls Python functions on it.
//!
//! `cargo run -p mitogen-examples --bin connect_and_call -- [HOST]`: by ssh to `HOST`, or without one to a
//! new process of this machine.

use std::error::Error;

use mitogen::transports::{local, ssh};
use mitogen::{Master, MasterOptions, Transport, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let transport: Box<dyn Transport> = match std::env::args().nth(1) {
        Some(host) => Box::new(ssh::Ssh::new(ssh::Options::new(host))?),
        None => Box::new(local::Local::new(local::Options::new())?),
    };

    let master = Master::start(MasterOptions::default())?;
    // `connect` returns at once; `wait` returns when the context can be called.
    let context = master.connect(&*transport)?.wait()?;

    // The type of the result is checked. Arguments are a tuple.
    let version: String = context.call("platform.python_version", ())?;
    let joined: String = context.call("os.path.join", ("etc", "hosts"))?;
    // So is a tuple as a result.
    let (load, _, _): (f64, f64, f64) = context.call("os.getloadavg", ())?;
    println!("{} runs Python {version} under a load of {load}; {joined}", context.name());

    // An exception of the function is an error with its type, text and traceback.
    match context.call::<Value>("math.sqrt", (-1,)) {
        Ok(root) => println!("unexpected: {root:?}"),
        Err(error) => println!("{}", mitogen::with_causes(&error)),
    }

    master.shutdown();
    Ok(())
}
