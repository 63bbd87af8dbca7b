//! Receives values from a Python function while it runs.
//!
//! `cargo run -p mitogen-examples --bin streaming`
//!
//! The function is in `python/ticker.py`, which is embedded in this program and sent to the context.

use std::error::Error;
use std::sync::Arc;

use mitogen::modules::EmbeddedDir;
use mitogen::router::HandlerOptions;
use mitogen::transports::local::{Local, Options};
use mitogen::{Master, MasterOptions, Receiver};

static MODULES: EmbeddedDir = mitogen::embed!("$CARGO_MANIFEST_DIR/python");

fn main() -> Result<(), Box<dyn Error>> {
    let master = Master::start(MasterOptions::default().modules(vec![Arc::new(&MODULES)]))?;
    let context = master.connect(&Local::new(Options::new())?)?.wait()?;

    // Messages to the receiver's handle are accepted from every context of this master; see `HandlerOptions`.
    let numbers = Receiver::<u32>::new(master.router(), HandlerOptions::default());
    // The context gets a sender to the receiver, as an argument like any other.
    let counted = context.call_async::<String>("ticker.count", (numbers.to_sender(), 5, 0.05))?;
    // Ends when the function closes the sender.
    for number in numbers.iter() {
        println!("received {}", number?);
    }
    println!("the call returned: {}", counted.get()?);

    master.shutdown();
    Ok(())
}
