//! Ends before the end: time that runs out, and the user who has seen enough.

use std::io;
use std::time::{Duration, Instant};

use nix::libc::{SIGINT, SIGKILL, SIGTERM};

use super::Fleet;
use super::host::{Host, Patience};
use crate::output::{End, HostId, Streams};

/// A command that was told to end has this long before it is told again, in sharper words.
const PATIENCE: Duration = Duration::from_secs(2);

impl Fleet<'_> {
    /// The host's time is up: asks, then makes its command end. A call cannot be ended.
    pub(super) fn hurry(&mut self, host: HostId, now: Instant) -> io::Result<()> {
        let limit = self.setup.limit.unwrap_or_default();
        let Some(active) = self.active(host) else { return Ok(()) };
        let (signal, patience) = match (&active.running, active.patience) {
            (Some(_), Patience::Full) => (SIGTERM, Patience::Thin),
            (Some(_), Patience::Thin) => (SIGKILL, Patience::Gone),
            _ => return self.end(host, &End::TimedOut(limit)),
        };
        active.patience = patience;
        if let Some(running) = &active.running {
            let _ = running.signal(signal);
        }
        self.deadlines.set(host, now + PATIENCE);
        Ok(())
    }

    /// The first Ctrl-C: nothing new is started, what runs is told, and the user learns what there is.
    pub(super) fn interrupt(&mut self) -> io::Result<()> {
        self.interrupted = true;
        let mut running = 0;
        for host in (0..self.hosts.len()).map(HostId) {
            match &self.hosts[host.0] {
                Host::Ended => continue,
                Host::Active(active) if active.reached.is_some() => {
                    if let Some(command) = &active.running {
                        running += 1;
                        let _ = command.signal(SIGINT);
                        continue;
                    }
                }
                Host::Active(_) | Host::Waiting => {}
            }
            self.end(host, &End::Interrupted)?;
        }
        if running == 0 {
            return Ok(());
        }
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.interrupted(&mut to)
    }

    /// The second Ctrl-C, or a wish to end: commands are killed and the tree ended. The end of the
    /// tree is an event.
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
