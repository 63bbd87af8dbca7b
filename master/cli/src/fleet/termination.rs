//! Early ends of a run: time limits and interrupts.

use std::io;
use std::time::{Duration, Instant};

use nix::libc::{SIGINT, SIGKILL, SIGTERM};

use super::host::{Host, KillStage};
use super::run::Fleet;
use crate::output::{HostId, HostResult, Streams};

/// The time between SIGTERM and SIGKILL, and between SIGKILL and giving up.
const KILL_INTERVAL: Duration = Duration::from_secs(2);

impl Fleet<'_> {
    /// The host's time limit, or the time for the last signal, is over: sends the next signal to its
    /// command. A call cannot be ended remotely, so it is given up at once.
    pub(super) fn escalate(&mut self, host: HostId, now: Instant) -> io::Result<()> {
        let timeout = self.config.timeout.unwrap_or_default();
        let Some(active) = self.active(host) else { return Ok(()) };
        let (signal, stage) = match (&active.running, active.kill_stage) {
            (Some(_), KillStage::Running) => (SIGTERM, KillStage::Terminating),
            (Some(_), KillStage::Terminating) => (SIGKILL, KillStage::Killed),
            _ => return self.end(host, &HostResult::TimedOut(timeout)),
        };
        active.kill_stage = stage;
        if let Some(running) = &active.running {
            let _ = running.signal(signal);
        }
        self.deadlines.set(host, now + KILL_INTERVAL);
        Ok(())
    }

    /// The first Ctrl-C: starts nothing new, sends SIGINT to running commands, and prints the hosts that
    /// are still running.
    pub(super) fn interrupt(&mut self) -> io::Result<()> {
        self.interrupted = true;
        let mut running = 0;
        for host in (0..self.hosts.len()).map(HostId) {
            match &self.hosts[host.0] {
                Host::Ended => continue,
                Host::Active(active) if active.connected.is_some() => {
                    if let Some(command) = &active.running {
                        running += 1;
                        let _ = command.signal(SIGINT);
                        continue;
                    }
                }
                Host::Active(_) | Host::Waiting => {}
            }
            self.end(host, &HostResult::Interrupted)?;
        }
        if running == 0 {
            return Ok(());
        }
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.interrupted(&mut to)
    }

    /// The second Ctrl-C, SIGTERM or SIGHUP: kills all commands and shuts the broker down, which sends
    /// [`FleetEvent::Stopped`](super::FleetEvent::Stopped).
    pub(super) fn kill(&mut self) {
        self.interrupted = true;
        self.killed = true;
        for host in &self.hosts {
            if let Host::Active(active) = host
                && let Some(command) = &active.running
            {
                let _ = command.signal(SIGKILL);
            }
        }
        self.signals.stop();
    }
}
