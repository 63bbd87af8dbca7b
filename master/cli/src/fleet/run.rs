//! The main thread of a run: it receives the events and keeps the state of each host.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mitogen::command::{CommandEvent, ExitStatus};
use mitogen::files::{FileError, TransferReport};
use mitogen::{CallError, RemoteError, pickle, with_causes};
use mitogen_core::broker::BrokerHandle;
use mitogen_core::call::Reply;
use nix::libc::SIGINT;

use super::deadlines::Deadlines;
use super::event::{FleetEvent, TransferEvent};
use super::host::{Active, Host, KillStage};
use super::host_source::HostSource;
use super::input::{self, Input, InputSource};
use super::signals::Signals;
use super::streams::{Stderr, Stdout};
use super::task::Task;
use crate::output::{HostEvent, HostId, HostResult, Presenter, StdStream, Streams};

/// Output is acknowledged in units of this many bytes: small enough to keep the remote side's window of 1 MiB
/// open, large enough not to send a message for each line.
const ACKNOWLEDGE: usize = 128 * 1024;
/// The time between two updates of the progress line.
const TICK: Duration = Duration::from_millis(100);

/// The settings of a run.
pub struct RunConfig {
    /// What is done on each host.
    pub task: Task,
    /// The most hosts that work at the same time.
    pub forks: usize,
    /// The time limit of each command or call, from the moment its host is connected.
    pub timeout: Option<Duration>,
    /// The standard input of the commands.
    pub input: Option<InputSource>,
    /// Whether there is a progress line to update.
    pub progress: bool,
}

/// A run over many hosts.
pub struct Fleet<'a> {
    source: &'a dyn HostSource,
    pub(super) config: RunConfig,
    pub(super) hosts: Vec<Host>,
    /// The first host that was not started; none of those after it was, either.
    next: usize,
    in_flight: usize,
    ended: usize,
    pub(super) presenter: Presenter,
    pub(super) out: Stdout,
    pub(super) err: Stderr,
    began: Instant,
    sender: Sender<FleetEvent>,
    events: Receiver<FleetEvent>,
    pub(super) deadlines: Deadlines,
    input: Input,
    pub(super) signals: Signals,
    /// The user has pressed Ctrl-C: no more hosts are started.
    pub(super) interrupted: bool,
    /// All commands were killed, and the broker is shutting down.
    pub(super) killed: bool,
    /// The broker has stopped, so that no host will send another event.
    stopped: bool,
}

impl<'a> Fleet<'a> {
    /// A run that has not started.
    ///
    /// # Errors
    /// Signals cannot be handled, or the process has too many open descriptors.
    pub fn new(
        broker: &BrokerHandle,
        source: &'a dyn HostSource,
        mut config: RunConfig,
        presenter: Presenter,
    ) -> io::Result<Self> {
        let (sender, events) = channel();
        let out = Stdout::new()?;
        let signals = Signals::watch(broker, &sender)?;
        let input = Input::new(config.input.take(), sender.clone(), source.count());
        Ok(Self {
            source,
            hosts: (0..source.count()).map(|_| Host::Waiting).collect(),
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
            stopped: false,
            config,
        })
    }

    /// Runs to the end. Returns the exit status.
    ///
    /// # Errors
    /// Errors of standard output.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            self.start_more()?;
            if self.ended == self.hosts.len() || self.stopped {
                break;
            }
            match self.next_event() {
                Some(event) => self.handle(event)?,
                None => self.time_passed()?,
            }
        }
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.finish(&mut to, self.began.elapsed())
    }

    /// Waits for the next event. Returns `None` when a deadline or an update of the progress line is due.
    fn next_event(&self) -> Option<FleetEvent> {
        let tick = self.config.progress.then_some(TICK);
        let due = self.deadlines.next().map(|due| due.saturating_duration_since(Instant::now()));
        let wait = [tick, due].into_iter().flatten().min();
        let Some(wait) = wait else { return self.events.recv().ok() };
        // `self.sender` keeps the channel open, so that the only possible error is the timeout.
        self.events.recv_timeout(wait).ok()
    }

    fn handle(&mut self, event: FleetEvent) -> io::Result<()> {
        if let FleetEvent::Signal(_) = event {
            self.signals.note_received();
        }
        match event {
            FleetEvent::Connected(host, Ok(())) => self.connected(host),
            FleetEvent::Connected(host, Err(error)) => {
                self.end(host, &HostResult::Failed(Box::new((*error).clone())))
            }
            FleetEvent::Command(host, event) => self.command(host, event),
            FleetEvent::Reply(host, reply) => self.reply(host, reply),
            FleetEvent::Transfer(host, event) => self.transfer(host, event),
            FleetEvent::Input(data) => {
                let late = self.input.arrived(data);
                late.into_iter()
                    .try_for_each(|host| self.end(host, &HostResult::NotStarted(input::TOO_MUCH.to_owned())))
            }
            FleetEvent::Signal(SIGINT) if !self.interrupted => self.interrupt(),
            FleetEvent::Signal(_) => {
                self.kill();
                Ok(())
            }
            FleetEvent::Stopped => {
                self.stopped = true;
                Ok(())
            }
        }
    }

    /// Starts as many hosts as `forks` allows.
    fn start_more(&mut self) -> io::Result<()> {
        while self.in_flight < self.config.forks && self.next < self.hosts.len() && !self.interrupted {
            let host = HostId(self.next);
            self.next += 1;
            if matches!(self.hosts[host.0], Host::Waiting) {
                self.start(host)?;
            }
        }
        self.config.task.start_prepared();
        Ok(())
    }

    fn start(&mut self, host: HostId) -> io::Result<()> {
        let connection = match self.source.connect(host.0) {
            Ok(connection) => connection,
            // The options were checked before the run began, so this is a defect of the transport.
            Err(error) => return self.end(host, &HostResult::Internal(with_causes(&error).to_string())),
        };
        self.in_flight += 1;
        let sender = self.sender.clone();
        connection.on_done(move |outcome| {
            let _ = sender.send(FleetEvent::Connected(host, outcome.clone()));
        });
        let mut active = Active::new(connection);
        if !self.source.only_when_connected() {
            self.start_task(host, &mut active);
        }
        self.hosts[host.0] = Host::Active(Box::new(active));
        Ok(())
    }

    fn start_task(&mut self, host: HostId, active: &mut Active) {
        match self.config.task.start(active.connection.context(), host, &self.sender) {
            Ok(running) => {
                if let Some(running) = &running {
                    self.input.join(host, running);
                }
                active.running = running;
            }
            // The connection may have failed already; its event reports why.
            Err(error) => active.send_error = Some(error),
        }
    }

    pub(super) fn active(&mut self, host: HostId) -> Option<&mut Active> {
        match &mut self.hosts[host.0] {
            Host::Active(active) => Some(active),
            Host::Waiting | Host::Ended => None,
        }
    }

    fn connected(&mut self, host: HostId) -> io::Result<()> {
        let timeout = self.config.timeout;
        let copies = matches!(self.config.task, Task::Copy(_));
        if self.source.only_when_connected()
            && let Host::Active(mut active) = std::mem::replace(&mut self.hosts[host.0], Host::Ended)
        {
            self.start_task(host, &mut active);
            self.hosts[host.0] = Host::Active(active);
        }
        let Some(active) = self.active(host) else { return Ok(()) };
        active.connected = Some(Instant::now());
        if let Some(error) = active.send_error.take() {
            return self.failed(host, error);
        }
        if let Some(timeout) = timeout {
            self.deadlines.set(host, Instant::now() + timeout);
        }
        if copies { self.show(&HostEvent::Started(host)) } else { Ok(()) }
    }

    fn command(&mut self, host: HostId, event: CommandEvent) -> io::Result<()> {
        if self.active(host).is_none() {
            return Ok(());
        }
        match event {
            CommandEvent::Started { .. } => {
                self.input.allow_reading();
                self.show(&HostEvent::Started(host))
            }
            CommandEvent::Stdout(data) => self.output(host, StdStream::Stdout, &data),
            CommandEvent::Stderr(data) => self.output(host, StdStream::Stderr, &data),
            CommandEvent::StdinRoom(room) => {
                self.input.room(host, room);
                Ok(())
            }
            CommandEvent::Exit(status) => {
                let (interrupted, killed) = (self.interrupted, self.killed);
                let timeout = self.config.timeout.unwrap_or_default();
                let timed_out =
                    self.active(host).is_some_and(|active| active.kill_stage != KillStage::Running);
                let result = match status {
                    _ if killed => HostResult::Interrupted,
                    _ if timed_out => HostResult::TimedOut(timeout),
                    // The command ended because of our SIGINT.
                    ExitStatus::Signal(SIGINT) | ExitStatus::Code(130) if interrupted => {
                        HostResult::Interrupted
                    }
                    ExitStatus::Code(code) => HostResult::Exit(code),
                    ExitStatus::Signal(signal) => HostResult::Signal(signal),
                };
                self.end(host, &result)
            }
            CommandEvent::Failed(error) => self.failed(host, error),
            other => {
                tracing::debug!(?other, "ignored an event of a command");
                Ok(())
            }
        }
    }

    fn output(&mut self, host: HostId, stream: StdStream, data: &[u8]) -> io::Result<()> {
        self.show(&HostEvent::Output(host, stream, data))?;
        if let Some(active) = self.active(host) {
            active.unacknowledged += data.len();
            if active.unacknowledged >= ACKNOWLEDGE
                && let Some(running) = &active.running
            {
                // If the context is lost, its own event reports that.
                let _ = running.consumed(active.unacknowledged);
                active.unacknowledged = 0;
            }
        }
        Ok(())
    }

    fn reply(&mut self, host: HostId, reply: Reply) -> io::Result<()> {
        let sender = self.sender.clone();
        let Host::Active(active) = &mut self.hosts[host.0] else { return Ok(()) };
        match self.config.task.reply(active, host, reply, &sender) {
            Ok(None) => Ok(()),
            Ok(Some((line, result))) => {
                if let Some(line) = line {
                    self.show(&HostEvent::Output(host, StdStream::Stdout, line.as_bytes()))?;
                }
                self.end(host, &result)
            }
            Err(error) => self.failed(host, error),
        }
    }

    fn transfer(&mut self, host: HostId, event: TransferEvent) -> io::Result<()> {
        if self.active(host).is_none() {
            return Ok(());
        }
        match event {
            TransferEvent::Progress(progress) => self.show(&HostEvent::Progress(host, progress)),
            TransferEvent::Done(Ok(report)) => {
                self.show(&HostEvent::Progress(host, report.progress))?;
                self.end(host, &transfer_result(&report))
            }
            TransferEvent::Done(Err(FileError::Call(error))) => self.failed(host, error),
            TransferEvent::Done(Err(error)) => {
                self.end(host, &HostResult::NotCopied(with_causes(&error).to_string()))
            }
            TransferEvent::NotStarted(error) => self
                .end(host, &HostResult::Internal(format!("cannot start a thread for the transfer: {error}"))),
        }
    }

    /// The command or call could not be started, raised an exception, or was lost with its context.
    fn failed(&mut self, host: HostId, error: CallError) -> io::Result<()> {
        let (is_command, killed) = (self.config.task.is_command(), self.killed);
        let Some(active) = self.active(host) else { return Ok(()) };
        let result = match error {
            CallError::Remote(error) if is_command => {
                HostResult::NotStarted(self.config.task.with_directory(error.message))
            }
            CallError::Remote(error) => HostResult::Raised(traceback(&error)),
            // Without a connection, the connection's own error says more. Its event will arrive.
            error if active.connected.is_none() => {
                active.send_error = Some(error);
                return Ok(());
            }
            CallError::Dead { .. } if killed => HostResult::Interrupted,
            CallError::Dead { reason, .. } => HostResult::Lost(reason),
            CallError::Send(error) => HostResult::Lost(with_causes(&error).to_string()),
            CallError::Decode(error) => undecodable(&error),
            error => HostResult::Internal(with_causes(&error).to_string()),
        };
        self.end(host, &result)
    }

    pub(super) fn end(&mut self, host: HostId, result: &HostResult) -> io::Result<()> {
        match std::mem::replace(&mut self.hosts[host.0], Host::Ended) {
            Host::Ended => return Ok(()),
            Host::Waiting => {}
            Host::Active(_) => self.in_flight -= 1,
        }
        self.ended += 1;
        self.deadlines.clear(host);
        self.input.leave(host);
        self.show(&HostEvent::Ended(host, result))?;
        // The last connections are closed together, by the shutdown of the master.
        if self.ended < self.hosts.len() {
            self.source.release(host.0);
        }
        Ok(())
    }

    fn show(&mut self, event: &HostEvent<'_>) -> io::Result<()> {
        let at = self.began.elapsed();
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.event(&mut to, at, event)
    }

    fn time_passed(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(host) = self.deadlines.pop_due(now) {
            self.escalate(host, now)?;
        }
        let mut to = Streams { out: &mut self.out, err: &mut self.err };
        self.presenter.tick(&mut to, now.saturating_duration_since(self.began))
    }
}

/// The result of a call whose reply cannot be decoded. If the reply is no pickle, what answers is not a context
/// any more; else the function returned what cannot be sent. Neither is an internal error.
fn undecodable(error: &pickle::Error) -> HostResult {
    let message = format!("cannot decode the result: {}", with_causes(error));
    match error {
        pickle::Error::Refused { .. } | pickle::Error::Global { .. } | pickle::Error::Invalid(_) => {
            HostResult::Undecodable(message)
        }
        _ => HostResult::Lost(message),
    }
}

/// An exception as Python prints it.
fn traceback(error: &RemoteError) -> String {
    match &error.traceback {
        Some(traceback) => format!("Traceback (most recent call last):\n{traceback}\n{error}"),
        None => error.to_string(),
    }
}

/// The result of a transfer. One that skipped files has failed.
fn transfer_result(report: &TransferReport) -> HostResult {
    match report.skipped.as_slice() {
        [] => HostResult::Copied(report.progress),
        [first, more @ ..] => {
            let more = match more.len() {
                0 => String::new(),
                count => format!(", and {count} more"),
            };
            HostResult::NotCopied(format!("skipped {}: {}{more}", first.path, first.reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::HostOutcome;

    #[test]
    fn what_a_far_end_sends_is_no_internal_error() {
        let (module, name) = ("builtins".to_owned(), "set".to_owned());
        let table = [
            (pickle::Error::Truncated { length: 3 }, HostOutcome::Unreachable),
            (pickle::Error::Empty, HostOutcome::Unreachable),
            (pickle::Error::UnknownOpcode { opcode: 1, offset: 0 }, HostOutcome::Unreachable),
            (pickle::Error::Malformed { what: "x", offset: 0 }, HostOutcome::Unreachable),
            (pickle::Error::Refused { what: "a set", offset: 2 }, HostOutcome::CommandFailed),
            (pickle::Error::Global { module, name }, HostOutcome::CommandFailed),
        ];
        for (error, outcome) in table {
            let result = undecodable(&error);
            assert_eq!(result.outcome(), outcome, "{error}");
            assert!(result.describe().contains(&error.to_string()), "{result:?}");
        }
    }
}
