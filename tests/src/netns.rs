//! Hosts with their own addresses on this machine: network namespaces on a bridge, each with an sshd.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::cleanup::{Cleanup, Undo};
use crate::error::{FixtureError, Result};
use crate::sshd::{Sshd, SshdOptions};
use crate::{run, state};

/// One host.
#[derive(Debug)]
pub struct Host {
    /// Its address, reachable from this machine and the other hosts.
    pub address: IpAddr,
    /// Its server, on port 22.
    pub sshd: Sshd,
    netns: String,
}

impl Host {
    /// The name of its network namespace, for `ip netns exec`.
    pub fn netns(&self) -> &str {
        &self.netns
    }
}

/// Hosts on one network. All are removed on drop, the servers first.
#[derive(Debug)]
pub struct Namespaces {
    hosts: Vec<Host>,
    bridge: String,
    _cleanup: Cleanup,
}

impl Namespaces {
    /// Creates `count` hosts (up to 200), each with an sshd with the default options.
    ///
    /// # Errors
    /// This process is not root, or the kernel or a tool refuses.
    pub fn new(count: u8) -> Result<Self> {
        Self::with(count, &SshdOptions::default())
    }

    /// Like [`Namespaces::new`], with server options of the caller's choice.
    ///
    /// # Errors
    /// As [`Namespaces::new`].
    pub fn with(count: u8, options: &SshdOptions) -> Result<Self> {
        run::need_root("making network namespaces")?;
        if count == 0 || count > 200 {
            return Err(FixtureError::new(format!("{count} hosts: between 1 and 200 are possible")));
        }
        // Interface names have 15 characters at most.
        let bridge = state::fresh_name("mt");
        let mut cleanup = Cleanup::new(vec![Undo::Interface(bridge.clone())])?;
        let net = make_bridge(&bridge)?;
        let mut hosts = Vec::new();
        for number in 0..count {
            let netns = format!("{bridge}-{number}");
            cleanup.add(Undo::Netns(netns.clone()))?;
            let address = Ipv4Addr::new(198, 18, net, number + 2);
            make_host(&bridge, &netns, address, number)?;
            let sshd = options.clone().inside(&netns, address.into(), 22).start()?;
            hosts.push(Host { address: address.into(), sshd, netns });
        }
        Ok(Self { hosts, bridge, _cleanup: cleanup })
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Disconnects a host from the network without ending anything on it, like a pulled cable, or reconnects it.
    ///
    /// # Errors
    /// There is no such host, or the kernel refuses.
    pub fn set_connected(&self, host: u8, connected: bool) -> Result<()> {
        let state = if connected { "up" } else { "down" };
        run::run(&["ip", "link", "set", &port_name(&self.bridge, host), state]).map(drop)
    }

    /// The address of a host's server.
    ///
    /// # Panics
    /// There is no such host.
    pub fn address(&self, host: usize) -> SocketAddr {
        self.hosts[host].sshd.address()
    }
}

/// The interface at the bridge's end of a host's cable.
fn port_name(bridge: &str, host: u8) -> String {
    format!("{bridge}p{host}")
}

/// Creates the bridge with the first free network of the range reserved for tests; returns the third octet.
fn make_bridge(bridge: &str) -> Result<u8> {
    let _guard = state::lock("networks")?;
    let used = run::run(&["ip", "-4", "-o", "addr", "show"])?;
    let net = (0..=255)
        .find(|net| !used.contains(&format!(" 198.18.{net}.1/")))
        .ok_or_else(|| FixtureError::new("no free network in 198.18.0.0/16"))?;
    run::run(&["ip", "link", "add", bridge, "type", "bridge"])?;
    run::run(&["ip", "addr", "add", &format!("198.18.{net}.1/24"), "dev", bridge])?;
    run::run(&["ip", "link", "set", bridge, "up"])?;
    Ok(net)
}

fn make_host(bridge: &str, netns: &str, address: Ipv4Addr, number: u8) -> Result<()> {
    let port = port_name(bridge, number);
    run::run(&["ip", "netns", "add", netns])?;
    run::run(&["ip", "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", netns])?;
    run::run(&["ip", "link", "set", &port, "master", bridge, "up"])?;
    run::run(&["ip", "-n", netns, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
    run::run(&["ip", "-n", netns, "link", "set", "eth0", "up"])?;
    run::run(&["ip", "-n", netns, "link", "set", "lo", "up"])?;
    // Lets a host send to addresses outside its network, so that a wrong address times out instead of failing at once.
    run::run(&["ip", "-n", netns, "route", "add", "default", "dev", "eth0"]).map(drop)
}
