//! A run over many targets: one thread, one queue of events.
//!
//! Connections, commands, calls, signals and our own input all end up as [`Incoming`] on one
//! channel, and the main thread takes them out, keeps the state of each host and drives the
//! presenter. There is no thread per host. What was printed is acknowledged only after it has been
//! written, so that a slow reader of ours slows the commands down and fills no memory.

mod copy;
mod deadlines;
mod ending;
mod host;
mod incoming;
mod input;
mod streams;
mod task;
mod ways;

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mitogen::CallError;
use mitogen::command::{self, ExitStatus};
use mitogen_core::broker::BrokerHandle;
use mitogen_core::call::Reply;
use nix::libc::SIGINT;

use crate::exit;
use crate::output::{Channel, End, Event, HostId, Presenter, Streams};
pub use copy::{Copy, Direction, Transfer};
use deadlines::Deadlines;
use host::{Active, Host, Patience};
pub use incoming::Incoming;
use incoming::Signals;
use input::Input;
pub use input::InputSource;
pub use streams::{Stderr, Stdout};
pub use task::Task;
pub use ways::{Own, Running, Ways};

/// Output is acknowledged in portions of this size, in bytes: small enough to keep the far end's
/// window (1 MiB) open, large enough not to be a message for each line.
const PORTION: usize = 128 * 1024;
/// How often the progress line may move.
const TICK: Duration = Duration::from_millis(100);

/// What a run needs besides its targets.
pub struct Setup {
    /// What is done on each host.
    pub task: Task,
    /// At most so many hosts at once.
    pub forks: usize,
    /// How long the command or call may take, from the moment the host is reached.
    pub limit: Option<Duration>,
    /// What is passed to the commands as their input.
    pub input: Option<InputSource>,
    /// Whether there is a progress line, which moves by itself.
    pub ticks: bool,
}

/// A run over many targets.
pub struct Fleet<'a> {
    ways: &'a dyn Ways,
    setup: Setup,
    hosts: Vec<Host>,
    /// The first that has not been started; all behind it have not been, either.
    next: usize,
    in_flight: usize,
    ended: usize,
    presenter: Presenter,
    out: Stdout,
    err: Stderr,
    began: Instant,
    sender: Sender<Incoming>,
    events: Receiver<Incoming>,
    deadlines: Deadlines,
    input: Input,
    signals: Signals,
    /// The user wants to end.
    interrupted: bool,
    /// What still ran was killed on his wish.
    killed: bool,
    /// The tree is being ended; nothing more will come of anything.
    over: bool,
}

impl<'a> Fleet<'a> {
    /// A run that has not begun.
    ///
    /// # Errors
    /// Signals cannot be caught.
    pub fn new(
        broker: &BrokerHandle,
        ways: &'a dyn Ways,
        mut setup: Setup,
        presenter: Presenter,
    ) -> io::Result<Self> {
        let (sender, events) = channel();
        let out = Stdout::new()?;
        let signals = Signals::watch(broker, &sender)?;
        let input = Input::new(setup.input.take(), sender.clone(), ways.count());
        Ok(Self {
            ways,
            hosts: (0..ways.count()).map(|_| Host::Waiting).collect(),
            next: 0,
            in_flight: 0,
            ended: 0,
            presenter,
            out,
            err: Stderr::new()?,
            began: Instant::now(),
            sender,
            events,
            deadlines: Deadlines::default(),
            input,
            signals,
            interrupted: false,
            killed: false,
            over: false,
            setup,
        })
    }

    /// Does it. The exit status.
    ///
    /// # Errors
    /// Of our own output.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            self.start_more()?;
            if self.ended == self.hosts.len() || self.over {
                break;
            }
            match self.next_event() {
                Some(incoming) => self.take(incoming)?,
                None => self.time_passed()?,
            }
        }
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.finish(&mut to, self.began.elapsed())
    }

    /// Waits for an event until it is time for something.
    fn next_event(&self) -> Option<Incoming> {
        let tick = self.setup.ticks.then_some(TICK);
        let due = self.deadlines.next().map(|due| due.saturating_duration_since(Instant::now()));
        let wait = [tick, due].into_iter().flatten().min();
        let Some(wait) = wait else { return self.events.recv().ok() };
        // We hold a sender ourselves, so that time is all that can run out.
        self.events.recv_timeout(wait).ok()
    }

    fn take(&mut self, incoming: Incoming) -> io::Result<()> {
        if let Incoming::Signal(_) = incoming {
            self.signals.took();
        }
        match incoming {
            Incoming::Reached(host, Ok(())) => self.reached(host),
            Incoming::Reached(host, Err(error)) => self.end(host, &End::Failed(Box::new((*error).clone()))),
            Incoming::Command(host, event) => self.command(host, event),
            Incoming::Reply(host, reply) => self.reply(host, reply),
            Incoming::Transfer(host, transfer) => self.transfer(host, transfer),
            Incoming::Input(data) => {
                let late = self.input.arrived(data);
                late.into_iter()
                    .try_for_each(|host| self.end(host, &End::NotStarted(input::TOO_MUCH.to_owned())))
            }
            Incoming::Signal(SIGINT) if !self.interrupted => self.interrupt(),
            Incoming::Signal(_) => {
                self.kill();
                Ok(())
            }
            Incoming::Stopped => {
                self.over = true;
                Ok(())
            }
        }
    }

    /// Starts as many as may be started.
    fn start_more(&mut self) -> io::Result<()> {
        while self.in_flight < self.setup.forks && self.next < self.hosts.len() && !self.interrupted {
            let host = HostId(self.next);
            self.next += 1;
            if matches!(self.hosts[host.0], Host::Waiting) {
                self.start(host)?;
            }
        }
        self.setup.task.go();
        Ok(())
    }

    fn start(&mut self, host: HostId) -> io::Result<()> {
        let route = match self.ways.connect(host.0) {
            Ok(route) => route,
            // The hop was checked when it was held, so this is a transport that contradicts itself.
            Err(error) => return self.end(host, &End::Internal(mitogen::with_causes(&error).to_string())),
        };
        self.in_flight += 1;
        let sender = self.sender.clone();
        route.on_done(move |outcome| {
            let _ = sender.send(Incoming::Reached(host, outcome.clone()));
        });
        let mut active = Active::new(route);
        if !self.ways.only_when_up() {
            self.begin(host, &mut active);
        }
        self.hosts[host.0] = Host::Active(Box::new(active));
        Ok(())
    }

    fn begin(&mut self, host: HostId, active: &mut Active) {
        match self.setup.task.start(active.route.context(), host, &self.sender) {
            Ok(running) => {
                if let Some(running) = &running {
                    self.input.join(host, running);
                }
                active.running = running;
            }
            // Whether there was a connection to lose may not be known yet.
            Err(error) => active.lost = Some(error),
        }
    }

    fn active(&mut self, host: HostId) -> Option<&mut Active> {
        match &mut self.hosts[host.0] {
            Host::Active(active) => Some(active),
            Host::Waiting | Host::Ended => None,
        }
    }

    fn reached(&mut self, host: HostId) -> io::Result<()> {
        let limit = self.setup.limit;
        let copies = matches!(self.setup.task, Task::Copy(_));
        if self.ways.only_when_up()
            && let Host::Active(mut active) = std::mem::replace(&mut self.hosts[host.0], Host::Ended)
        {
            self.begin(host, &mut active);
            self.hosts[host.0] = Host::Active(active);
        }
        let Some(active) = self.active(host) else { return Ok(()) };
        active.reached = Some(Instant::now());
        if let Some(lost) = active.lost.take() {
            return self.failed(host, lost);
        }
        if let Some(limit) = limit {
            self.deadlines.set(host, Instant::now() + limit);
        }
        if copies { self.show(&Event::Started(host)) } else { Ok(()) }
    }

    fn command(&mut self, host: HostId, event: command::CommandEvent) -> io::Result<()> {
        if self.active(host).is_none() {
            return Ok(());
        }
        match event {
            command::CommandEvent::Started { .. } => {
                self.input.wanted();
                self.show(&Event::Started(host))
            }
            command::CommandEvent::Stdout(data) => self.output(host, Channel::Stdout, &data),
            command::CommandEvent::Stderr(data) => self.output(host, Channel::Stderr, &data),
            command::CommandEvent::StdinRoom(room) => {
                self.input.room(host, room);
                Ok(())
            }
            command::CommandEvent::Exit(status) => {
                let (interrupted, killed) = (self.interrupted, self.killed);
                let limit = self.setup.limit.unwrap_or_default();
                let hurried = self.active(host).is_some_and(|active| active.patience != Patience::Full);
                let end = match status {
                    _ if killed => End::Interrupted,
                    _ if hurried => End::TimedOut(limit),
                    // It did as it was told.
                    ExitStatus::Signal(SIGINT) | ExitStatus::Code(130) if interrupted => End::Interrupted,
                    ExitStatus::Code(code) => End::Exit(code),
                    ExitStatus::Signal(signal) => End::Signal(signal),
                };
                self.end(host, &end)
            }
            command::CommandEvent::Failed(error) => self.failed(host, error),
            other => {
                tracing::debug!(?other, "an event that means nothing here");
                Ok(())
            }
        }
    }

    fn output(&mut self, host: HostId, channel: Channel, data: &[u8]) -> io::Result<()> {
        self.show(&Event::Output(host, channel, data))?;
        if let Some(active) = self.active(host) {
            active.shown += data.len();
            if active.shown >= PORTION
                && let Some(running) = &active.running
            {
                // A context that is gone is told of by an event of its own.
                let _ = running.consumed(active.shown);
                active.shown = 0;
            }
        }
        Ok(())
    }

    fn reply(&mut self, host: HostId, reply: Reply) -> io::Result<()> {
        let sender = self.sender.clone();
        let Host::Active(active) = &mut self.hosts[host.0] else { return Ok(()) };
        match self.setup.task.answered(active, host, reply, &sender) {
            Ok(None) => Ok(()),
            Ok(Some((said, end))) => {
                if let Some(line) = said {
                    self.show(&Event::Output(host, Channel::Stdout, line.as_bytes()))?;
                }
                self.end(host, &end)
            }
            Err(error) => self.failed(host, error),
        }
    }

    /// The command or call could not be started, raised, or was lost with its context.
    fn failed(&mut self, host: HostId, error: CallError) -> io::Result<()> {
        let (runs, killed) = (self.setup.task.is_command(), self.killed);
        let Some(active) = self.active(host) else { return Ok(()) };
        let end = match error {
            CallError::Remote(error) if runs => End::NotStarted(self.setup.task.place(error.message)),
            CallError::Remote(error) => End::Raised(task::traceback(&error)),
            // If there never was a connection, its own error says more, and is on its way.
            error if active.reached.is_none() => {
                active.lost = Some(error);
                return Ok(());
            }
            CallError::Dead { .. } if killed => End::Interrupted,
            CallError::Dead { reason, .. } => End::Lost(reason),
            CallError::Send(error) => End::Lost(error.to_string()),
            CallError::Decode(error) => End::Internal(format!("the result cannot be read: {error}")),
            error => End::Internal(error.to_string()),
        };
        self.end(host, &end)
    }

    fn end(&mut self, host: HostId, end: &End) -> io::Result<()> {
        match std::mem::replace(&mut self.hosts[host.0], Host::Ended) {
            Host::Ended => return Ok(()),
            Host::Waiting => {}
            Host::Active(_) => self.in_flight -= 1,
        }
        self.ended += 1;
        self.deadlines.clear(host);
        self.input.leave(host);
        self.show(&Event::Ended(host, end))?;
        // The last ones go with the whole tree.
        if self.ended < self.hosts.len() {
            self.ways.release(host.0);
        }
        Ok(())
    }

    fn show(&mut self, event: &Event<'_>) -> io::Result<()> {
        let at = self.began.elapsed();
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.event(&mut to, at, event)
    }

    fn time_passed(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(host) = self.deadlines.pop_due(now) {
            self.hurry(host, now)?;
        }
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.tick(&mut to, now.saturating_duration_since(self.began))
    }
}

/// The exit status when our own output failed: whoever reads us may have had enough of it, which is
/// no fault.
///
/// # Errors
/// Any other error.
pub fn forgive_closed_output(status: io::Result<u8>) -> io::Result<u8> {
    match status {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit::OK),
        other => other,
    }
}
