//! Copies a file to every host that an expression selects from `mitogen.toml`.
//!
//! `cargo run -p mitogen-examples --bin copy_to_many -- TARGETS FILE DEST`
//!
//! The content crosses each link once, even if several hosts are behind it.

use std::error::Error;

use mitogen::files::{self, Sources, TransferOptions};
use mitogen::profiles::{Inventory, Overrides, Search, SecretStore, SystemSecrets};
use mitogen::{ConnectionPool, Context, Master, MasterOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [targets, file, dest] = &arguments[..] else {
        return Err("usage: copy_to_many TARGETS FILE DEST".into());
    };

    let master = Master::start(MasterOptions::default())?;
    let inventory = Inventory::load(&Search::from_environment(None), master.transports())?;
    let pool = ConnectionPool::new(&master, SecretStore::new(SystemSecrets));

    let mut connections = Vec::new();
    for target in inventory.select(targets, None)? {
        let chain = inventory.resolve(&target, &Overrides::default())?;
        connections.push((target, pool.connect(&chain)?));
    }
    // A transfer may begin before its context is connected.
    let contexts: Vec<Context> =
        connections.iter().map(|(_, connection)| connection.context().clone()).collect();
    let sources = Sources::scan(&[file])?;
    let results = files::put_all(&contexts, &sources, dest.as_bytes(), &TransferOptions::new(), |_, _| ());

    let mut failed = 0;
    for ((target, connection), result) in connections.iter().zip(results) {
        match result {
            Ok(report) => println!("{target}: {} bytes", report.progress.bytes),
            Err(error) => {
                failed += 1;
                // If the connection failed, its error says more than that of the transfer.
                match connection.wait() {
                    Err(reason) => println!("{target}: {}", reason.report()),
                    Ok(_) => println!("{target}: {}", mitogen::with_causes(&error)),
                }
            }
        }
    }
    master.shutdown();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} targets failed").into()) }
}
