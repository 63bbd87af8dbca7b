//! The driver of one connection: starts the process, holds the dialogue, hands over to the router.
//!
//! All of it runs on the broker's thread, without a thread per connection. The dialogue's engine
//! says what to do; this file does it. A dropped handshake is tried again, with the frames that
//! were sent so far kept by the router.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::connect_handle::Completion;
use super::connector::{Shared, cancelled};
use super::error::ConnectError;
use super::handshake_limiter::{RETRIES, retry_delay};
use super::plan::{Plan, Preamble};
use super::reaper::Process;
use super::start::{FORK_NEEDS_VIA, Start, Stdio};
use super::streams::{BootstrapStream, StderrStream};
use crate::dialogue::{Engine, Failure, FailureKind, Source, Stage, Step};
use crate::ids::ContextId;
use crate::io::{FdSide, Reactor, Side, TimerId, Token, Writer, sides};
use crate::router::{Keepalive, LINK_HIGH_WATER, LinkId};
use crate::sys::{self, ChildSpec, ChildStdio};

/// How long one end may linger when the other (process or link) is gone already.
const LINGER: Duration = Duration::from_secs(1);

/// What is to be started.
pub(super) struct Job {
    pub(super) plan: Plan,
    pub(super) preamble: Bytes,
    pub(super) id: ContextId,
    pub(super) link: LinkId,
    pub(super) done: Completion,
}

/// One process, from start until it is up or has failed.
struct Attempt {
    engine: Engine,
    process: Process,
    writer: Writer,
    link_token: Token,
    diag_token: Option<Token>,
    /// A duplicate for answers to prompts and for what is left to read at the end.
    diag: Option<FdSide>,
    deadline: TimerId,
    /// Ends the attempt when one of process and link has outlived the other for long enough.
    lingering: Option<TimerId>,
    link_eof: bool,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    job: Job,
    attempt: Option<Attempt>,
    tries: u32,
    /// When time runs out, for all tries together; set by the first.
    give_up_at: Option<Instant>,
    over: bool,
}

/// The driver as its streams and timers hold it.
pub(super) type DriverRef = Arc<Mutex<Driver>>;

fn lock(driver: &DriverRef) -> MutexGuard<'_, Driver> {
    driver.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a stream does after feeding.
pub(super) enum FeedResult {
    /// It reads on.
    Continue,
    /// The link is up; these bytes are frames already. The stream hands its side over.
    Established { rest: Vec<u8>, writer: Writer },
    /// The attempt is over; the streams have been disconnected or will be.
    Finished,
}

/// Starts `job`, in its turn.
pub(super) fn start(shared: &Arc<Shared>, job: Job, reactor: &mut dyn Reactor) {
    let destination = job.plan.destination.clone();
    let driver = Arc::new(Mutex::new(Driver {
        shared: Arc::clone(shared),
        job,
        attempt: None,
        tries: 0,
        give_up_at: None,
        over: false,
    }));
    let first = match destination {
        Some(destination) => shared.gate().enter(&destination, driver),
        None => Some(driver),
    };
    if let Some(driver) = first {
        begin(&driver, reactor);
    }
}

fn begin(driver: &DriverRef, reactor: &mut dyn Reactor) {
    let started = Driver::spawn(driver, reactor);
    if let Err(error) = started {
        let mut this = lock(driver);
        this.finish(Err(error), reactor);
    }
}

impl Attempt {
    /// No timer of this attempt may strike the next one.
    fn cancel_timers(&self, reactor: &mut dyn Reactor) {
        reactor.cancel(self.deadline);
        if let Some(timer) = self.lingering {
            reactor.cancel(timer);
        }
    }
}

impl Driver {
    fn spawn(driver: &DriverRef, reactor: &mut dyn Reactor) -> Result<(), Box<ConnectError>> {
        let mut this = lock(driver);
        let give_up_at = this.give_up_at(reactor.now());
        let plan = &this.job.plan;
        let hop = plan.name.clone();
        if this.shared.is_stopping() {
            return Err(Box::new(cancelled(&hop)));
        }
        let refuse = |message: String| {
            let mut error = ConnectError::new(&hop, Stage::Spawn, FailureKind::SpawnFailed, message);
            error.argv = plan.printed_argv();
            Box::new(error)
        };
        let spawn = match &plan.start {
            Start::Spawn(spawn) => spawn,
            Start::Fork => return Err(refuse(FORK_NEEDS_VIA.to_owned())),
            Start::Dial(_) | Start::Opened => {
                return Err(refuse("this process starts contexts with programs only".to_owned()));
            }
        };
        let argv: Vec<OsString> = spawn.argv.iter().map(OsString::from).collect();
        let env: BTreeMap<OsString, Option<OsString>> =
            spawn.env.iter().map(|(key, value)| (key.into(), value.as_ref().map(OsString::from))).collect();
        let stdio = match spawn.stdio {
            Stdio::Socketpair => ChildStdio::Socketpair,
            Stdio::Pipes => ChildStdio::Pipes,
            Stdio::Tty => ChildStdio::Tty,
            Stdio::HybridTty => ChildStdio::HybridTty,
        };
        let spawned = sys::spawn(&ChildSpec { argv: &argv, env: &env, stdio })
            .map_err(|error| refuse(with_source(&error)))?;
        let process = this
            .shared
            .processes
            .watch(spawned.pid)
            .map_err(|error| refuse(format!("cannot watch the process: {error}")))?;
        let broken = |error: std::io::Error| refuse(format!("cannot use its descriptors: {error}"));
        let wired = (|| {
            let (receive, transmit) = sides(spawned.receive, spawned.transmit)?;
            let writer = Writer::new(transmit.share(), LINK_HIGH_WATER);
            let diag = match spawned.stderr {
                None => None,
                Some(fd) => Some((FdSide::new(fd.try_clone()?)?, FdSide::new(fd)?)),
            };
            let link_stream =
                BootstrapStream::new(hop.clone(), Arc::clone(driver), (receive, transmit), writer.clone());
            let link_token = reactor.register(Box::new(link_stream))?;
            writer.bind_to(reactor.handle(), link_token);
            let (diag, diag_token) = match diag {
                None => (None, None),
                Some((copy, side)) => {
                    let stream = StderrStream::new(hop.clone(), Arc::clone(driver), side);
                    (Some(copy), Some(reactor.register(Box::new(stream))?))
                }
            };
            Ok((writer, link_token, diag, diag_token))
        })();
        let (writer, link_token, diag, diag_token) = wired.map_err(|error| {
            process.terminate(reactor);
            broken(error)
        })?;
        let engine = Engine::new(&plan.dialogue, &plan.secrets);
        let weak = Arc::downgrade(driver);
        let deadline = reactor.schedule(
            give_up_at,
            Box::new(move |reactor| {
                if let Some(driver) = weak.upgrade() {
                    Self::time_out(&driver, reactor);
                }
            }),
        );
        let weak = Arc::downgrade(driver);
        process.on_exit(reactor, move |_, reactor| {
            // Not from here: the driver may be locked by whoever learns of the exit.
            let now = reactor.now();
            reactor.schedule(
                now,
                Box::new(move |reactor| {
                    if let Some(driver) = weak.upgrade() {
                        Self::ended(&driver, reactor);
                    }
                }),
            );
        });
        if plan.preamble == Preamble::Immediately {
            this.shared.router.links().attach(this.job.link, this.job.preamble.clone(), writer.clone());
        }
        this.attempt = Some(Attempt {
            engine,
            process,
            writer,
            link_token,
            diag_token,
            diag,
            deadline,
            lingering: None,
            link_eof: false,
        });
        Ok(())
    }

    /// When time runs out: the plan's timeout after the first try began.
    fn give_up_at(&mut self, now: Instant) -> Instant {
        let timeout = self.job.plan.timeout;
        let far = || now + Duration::from_secs(1 << 30);
        *self.give_up_at.get_or_insert_with(|| now.checked_add(timeout).unwrap_or_else(far))
    }

    /// Bytes from `source`.
    pub(super) fn feed(
        driver: &DriverRef,
        source: Source,
        bytes: &[u8],
        reactor: &mut dyn Reactor,
    ) -> FeedResult {
        let mut this = lock(driver);
        let Some(attempt) = &mut this.attempt else { return FeedResult::Finished };
        let steps = attempt.engine.feed(source, bytes);
        this.perform(driver, steps, reactor)
    }

    /// `source` has ended. The process decides what that means, so it is waited for a little.
    pub(super) fn eof(driver: &DriverRef, source: Source, reactor: &mut dyn Reactor) {
        let mut this = lock(driver);
        let Some(attempt) = &mut this.attempt else { return };
        if source == Source::Link {
            attempt.link_eof = true;
        }
        let steps = attempt.engine.eof(source);
        if matches!(this.perform(driver, steps, reactor), FeedResult::Continue) && source == Source::Link {
            this.settle(driver, reactor);
        }
    }

    /// The process has ended.
    fn ended(driver: &DriverRef, reactor: &mut dyn Reactor) {
        lock(driver).settle(driver, reactor);
    }

    /// Fails the attempt when both its link and its process are gone; gives the one that is left
    /// a little time.
    fn settle(&mut self, driver: &DriverRef, reactor: &mut dyn Reactor) {
        let Some(attempt) = &mut self.attempt else { return };
        let exited = attempt.process.exit().is_some();
        if exited && attempt.link_eof {
            self.conclude(driver, reactor);
        } else if (exited || attempt.link_eof) && attempt.lingering.is_none() {
            if attempt.link_eof {
                attempt.process.terminate_gracefully(reactor);
            }
            let weak = Arc::downgrade(driver);
            let timer = reactor.schedule(
                reactor.now() + LINGER,
                Box::new(move |reactor| {
                    if let Some(driver) = weak.upgrade() {
                        lock(&driver).conclude(&driver, reactor);
                    }
                }),
            );
            attempt.lingering = Some(timer);
        }
    }

    /// Reads what the side channel still holds, then lets the dialogue say what the end means.
    fn conclude(&mut self, driver: &DriverRef, reactor: &mut dyn Reactor) {
        let mut left = Vec::new();
        if let Some(diag) = self.attempt.as_mut().and_then(|attempt| attempt.diag.as_mut()) {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = diag.read(&mut buffer) {
                left.extend_from_slice(&buffer[..count]);
            }
        }
        let Some(attempt) = &mut self.attempt else { return };
        let steps = attempt.engine.feed(Source::Diag, &left);
        if let FeedResult::Continue = self.perform(driver, steps, reactor)
            && let Some(attempt) = &self.attempt
        {
            let exit = attempt.process.exit();
            let failure =
                attempt.engine.finish(exit.and_then(|exit| exit.code), exit.and_then(|exit| exit.signal));
            self.fail(driver, failure, reactor);
        }
    }

    fn time_out(driver: &DriverRef, reactor: &mut dyn Reactor) {
        let mut this = lock(driver);
        if let Some(attempt) = &this.attempt {
            let failure = attempt.engine.timeout();
            this.fail(driver, failure, reactor);
        }
    }

    /// The broker is shutting down.
    pub(super) fn cancel(driver: &DriverRef, reactor: &mut dyn Reactor) {
        let mut this = lock(driver);
        if let Some(attempt) = &this.attempt {
            let failure = Failure {
                stage: attempt.engine.stage(),
                kind: FailureKind::Cancelled,
                message: "cancelled by our own shutdown".to_owned(),
                hint: None,
            };
            this.fail(driver, failure, reactor);
        }
    }

    fn perform(&mut self, driver: &DriverRef, steps: Vec<Step>, reactor: &mut dyn Reactor) -> FeedResult {
        for step in steps {
            let Some(attempt) = &mut self.attempt else { return FeedResult::Finished };
            match step {
                Step::Write { to: Source::Diag, data } => {
                    let written = attempt.diag.as_mut().map(|diag| diag.write(&data));
                    if !matches!(written, Some(Ok(Some(count))) if count == data.len()) {
                        tracing::debug!(hop = self.job.plan.name, "an answer could not be written");
                    }
                }
                Step::Write { data, .. } => {
                    let _ = attempt.writer.send(&[Bytes::copy_from_slice(&data)]);
                }
                Step::Log { source, line } => {
                    tracing::debug!(target: "mitogen::connect", hop = self.job.plan.name, ?source, line);
                }
                Step::Ready => {
                    if self.job.plan.preamble == Preamble::AfterMarker {
                        let writer = attempt.writer.clone();
                        self.shared.router.links().attach(self.job.link, self.job.preamble.clone(), writer);
                    }
                }
                Step::Fail(failure) => {
                    self.fail(driver, failure, reactor);
                    return FeedResult::Finished;
                }
                Step::Up { rest } => return self.up(rest, reactor),
            }
        }
        FeedResult::Continue
    }

    fn up(&mut self, rest: Vec<u8>, reactor: &mut dyn Reactor) -> FeedResult {
        let Some(attempt) = self.attempt.take() else { return FeedResult::Finished };
        attempt.cancel_timers(reactor);
        // From here on the process belongs to the link: when that goes, so must it.
        let process = attempt.process.clone();
        let broker = self.shared.router.broker().clone();
        let (shared, id) = (Arc::downgrade(&self.shared), self.job.id);
        // Not if it only leads there: then it is of no more use, and its end is not the context's.
        let may_stay = self.job.plan.destination.is_none();
        self.shared.router.on_disconnect(id, move |_| {
            if let Some(shared) = shared
                .upgrade()
                .filter(|shared| shared.detached().remove(&id) && may_stay && !shared.is_stopping())
            {
                shared.processes.release(&process);
                return;
            }
            let _ = broker.defer(move |reactor| process.terminate_gracefully(reactor));
        });
        if let Some(token) = attempt.diag_token {
            // A background process of the tool's (a shared ssh connection) may hold the side
            // channel open for ever; it is of no use without the tool.
            attempt.process.on_exit(reactor, move |_, reactor| reactor.disconnect(token));
        }
        self.shared.router.links().up(self.job.link);
        let writer = attempt.writer;
        self.finish(Ok(()), reactor);
        FeedResult::Established { rest, writer }
    }

    fn fail(&mut self, driver: &DriverRef, failure: Failure, reactor: &mut dyn Reactor) {
        let Some(attempt) = self.attempt.take() else { return };
        attempt.cancel_timers(reactor);
        self.shared.router.links().detach(self.job.link);
        attempt.writer.close();
        reactor.disconnect(attempt.link_token);
        if let Some(token) = attempt.diag_token {
            reactor.disconnect(token);
        }
        let exit = attempt.process.exit();
        attempt.process.terminate(reactor);
        let delay = retry_delay(self.tries + 1, self.shared.noise());
        let in_time = reactor.now() + delay < self.give_up_at(reactor.now());
        if failure.kind.is_transient() && self.tries < RETRIES && in_time {
            self.tries += 1;
            tracing::debug!(
                hop = self.job.plan.name,
                tries = self.tries,
                message = failure.message,
                "trying again"
            );
            let again = Arc::clone(driver);
            reactor.schedule(reactor.now() + delay, Box::new(move |reactor| begin(&again, reactor)));
            return;
        }
        let mut error = ConnectError::from_failure(&self.job.plan.name, failure);
        error.argv = self.job.plan.printed_argv();
        error.status = exit.and_then(|exit| exit.code);
        error.signal = exit.and_then(|exit| exit.signal);
        error.output = attempt.engine.output();
        self.finish(Err(Box::new(error)), reactor);
    }

    fn finish(&mut self, outcome: Result<(), Box<ConnectError>>, reactor: &mut dyn Reactor) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.shared.conclude(self.job.link, &self.job.done, outcome.map_err(|error| *error));
        if let Some(destination) = &self.job.plan.destination {
            let next = self.shared.gate().leave(destination);
            if let Some(next) = next {
                // Not from here: this driver is locked, and the next one may fail at once.
                let now = reactor.now();
                reactor.schedule(now, Box::new(move |reactor| begin(&next, reactor)));
            }
        }
    }

    pub(super) fn parts(driver: &DriverRef) -> (crate::router::Router, LinkId, Option<Keepalive>) {
        let this = lock(driver);
        (this.shared.router.clone(), this.job.link, this.job.plan.keepalive)
    }
}

/// An error with its cause, in one line.
fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
