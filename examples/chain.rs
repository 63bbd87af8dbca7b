//! Becomes root on another host: ssh, and sudo behind it.
//!
//! `cargo run -p mitogen-examples --bin chain -- USER@HOST[:PORT] [SSH_ARGUMENT...]`. The password for sudo is taken
//! from the environment variable `SUDO_PASSWORD`, if it is set.

use std::error::Error;

use mitogen::transports::{ssh, sudo};
use mitogen::{Master, MasterOptions, Secret};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().ok_or("usage: chain USER@HOST[:PORT] [SSH_ARGUMENT...]")?;
    let (user, host) = target.split_once('@').ok_or("the user's name is missing")?;
    let (host, port) = host.split_once(':').unwrap_or((host, "22"));

    let ssh = ssh::Options::new(host).username(user).port(port.parse()?).ssh_args(arguments);
    let password = std::env::var("SUDO_PASSWORD").ok().map(Secret::new);
    let sudo = sudo::Options::new().password(password);

    let master = Master::start(MasterOptions::default())?;
    let login = master.connect(&ssh::Ssh::new(ssh)?)?;
    // The second hop need not wait for the first one: its plan is sent behind it, and executed on the host.
    let root = master.connect_via(login.context(), &sudo::Sudo::new(sudo)?)?;
    // Each hop has its own error; that of the last one says if an earlier one failed.
    let root = match root.wait() {
        Ok(root) => root,
        Err(error) => return Err(error.report().into()),
    };
    let login = login.wait()?;
    for context in [&login, &root] {
        println!("{} has the user id {}", context.name(), context.call::<u32>("os.getuid", ())?);
    }

    master.shutdown();
    Ok(())
}
