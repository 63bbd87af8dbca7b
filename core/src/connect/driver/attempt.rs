//! One connection: opens the link, holds the dialogue, and hands the link over to the router.
//!
//! The dialogue's engine says what to do, and this file does it. A handshake that the server has dropped
//! is tried again; the router keeps the frames that were sent so far. Methods run on the broker's thread.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::dial;
use super::handshake_limiter::{Ended, OCCUPIES, RETRIES, retry_delay};
use super::launcher::{CANCELLED, Job, Launcher, cancelled};
use super::opener::{Ends, OpenDone, OpenedLink, Progress};
use super::program;
use super::remote_end::End;
use super::sink::{FeedResult, Sink};
use super::streams::{BootstrapStream, OpeningStream, SharedSide, SinkHandle, StderrStream};
use crate::connect::error::ConnectError;
use crate::connect::plan::Preamble;
use crate::connect::start::{FORK_NEEDS_VIA, Start};
use crate::dialogue::{Engine, Failure, FailureKind, Source, Stage, Step};
use crate::io::{Reactor, Side, Task, TimerId, Token, Touch, Writer};
use crate::router::{LINK_HIGH_WATER, MitogenStream};

/// How long the link or the process may outlive the other.
const LINGER: Duration = Duration::from_secs(1);

/// Makes the connection of `job`, when its destination allows another handshake. The job's completion
/// is set once.
pub(in crate::connect) fn launch(launcher: &Arc<Launcher>, job: Job) {
    launcher.add(&job);
    let (link, done, hop) = (job.link, job.done.clone(), job.plan.name.clone());
    let starter = Arc::clone(launcher);
    let deferred = launcher.router().broker().defer(move |reactor| {
        let destination = job.plan.destination.clone();
        let attempt = Attempt::new(&starter, job);
        starter.enter(&destination, begin(attempt), reactor);
    });
    if deferred.is_err() {
        launcher.conclude(link, &done, Err(cancelled(&hop)));
    }
}

/// The work of a connection that waits for its turn.
fn begin(attempt: Arc<Attempt>) -> Task {
    Box::new(move |reactor| attempt.lock().begin(reactor))
}

/// One connection, as its streams, timers and opener hold it.
struct Attempt(Mutex<State>);

struct State {
    me: Weak<Attempt>,
    launcher: Arc<Launcher>,
    job: Job,
    phase: Phase,
    /// Drops in a row during which no other handshake with the destination succeeded.
    tries: u32,
    /// The successes of the destination at the last drop.
    successes: u64,
    /// The limit of a try; set when it begins, so that no time is spent by waiting for a turn.
    deadline: Option<(Instant, TimerId)>,
    turn: Option<Turn>,
}

/// The turn of a try that has begun.
struct Turn {
    began: Instant,
    /// Whether it counts among all starts; no longer when it takes long.
    counted: bool,
    timer: TimerId,
}

enum Phase {
    /// It waits for its turn, or for the next try.
    Waiting,
    /// Something opens the link; the stream waits for a shutdown meanwhile.
    Opening(Arc<Progress>, Token),
    /// The link is open and the dialogue is held.
    Talking(Box<Talk>),
    /// The outcome is known.
    Over,
}

/// One try whose link is open.
struct Talk {
    engine: Engine,
    end: End,
    writer: Writer,
    link_token: Token,
    stderr: Option<(SharedSide, Token)>,
    /// Ends the try when the link or the process has outlived the other for long enough.
    lingering: Option<TimerId>,
    link_eof: bool,
}

impl Attempt {
    fn new(launcher: &Arc<Launcher>, job: Job) -> Arc<Self> {
        Arc::new_cyclic(|me| {
            Self(Mutex::new(State {
                me: Weak::clone(me),
                launcher: Arc::clone(launcher),
                job,
                phase: Phase::Waiting,
                tries: 0,
                successes: 0,
                deadline: None,
                turn: None,
            }))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Attempt {
    fn feed(&self, source: Source, bytes: &[u8], reactor: &mut dyn Reactor) -> FeedResult {
        self.lock().feed(source, bytes, reactor)
    }

    fn eof(&self, source: Source, reactor: &mut dyn Reactor) {
        self.lock().eof(source, reactor);
    }

    fn cancel(&self, reactor: &mut dyn Reactor) {
        self.lock().cancel(reactor);
    }

    fn established(
        &self,
        side: Box<dyn Side>,
        rest: &[u8],
        reactor: &mut dyn Reactor,
        token: Token,
    ) -> Option<MitogenStream> {
        self.lock().established(side, rest, reactor, token)
    }
}

/// Starts to receive on a stream whose sides may have no descriptor, or data that it does not show.
fn watch(end: &End, touch: &Touch, reactor: &mut dyn Reactor, token: Token) {
    touch.bind(reactor.handle(), token);
    if let End::Stream(_) = end {
        reactor.start_receive(token);
        reactor.touch(token);
    }
}

impl State {
    /// Begins a try.
    fn begin(&mut self, reactor: &mut dyn Reactor) {
        // The clock is read, because many connections may begin in one iteration of the loop.
        let began = Instant::now();
        let timer = self.schedule(began + OCCUPIES, reactor, Self::idle);
        self.turn = Some(Turn { began, counted: true, timer });
        if self.launcher.is_stopping() {
            let error = cancelled(&self.job.plan.name);
            return self.finish(Err(error), reactor);
        }
        let deadline = self.deadline(reactor);
        let opened = match &self.job.plan.start {
            Start::Spawn(spawn) => program::start(spawn, self.launcher.processes(), reactor),
            Start::Fork => Err(FORK_NEEDS_VIA.to_owned()),
            Start::Dial(dial) => {
                let dial = dial.clone();
                return match self.open_done(reactor) {
                    Ok(done) => dial::connect(&dial, deadline, reactor, done),
                    Err(error) => self.refuse(error.to_string(), reactor),
                };
            }
            Start::Opened => {
                let Some((opener, argv)) = self.job.opener.clone() else {
                    return self.refuse("the plan has no opener".to_owned(), reactor);
                };
                return match self.open_done(reactor) {
                    Ok(done) => opener.open(&argv, deadline, done),
                    Err(error) => self.refuse(error.to_string(), reactor),
                };
            }
        };
        match opened {
            Ok(link) => self.converse(link, reactor),
            Err(message) => self.refuse(message, reactor),
        }
    }

    /// The try takes long, but not because of this machine.
    fn idle(&mut self, reactor: &mut dyn Reactor) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.counted) {
            turn.counted = false;
            self.launcher.idles(reactor);
        }
    }

    /// Gives up the turn.
    fn leave(&mut self, ended: impl FnOnce(&Turn) -> Ended, reactor: &mut dyn Reactor) {
        if let Some(turn) = self.turn.take() {
            reactor.cancel(turn.timer);
            let ended = ended(&turn);
            self.launcher.leave(&self.job.plan.destination, turn.counted, ended, reactor);
        }
    }

    /// The time at which the try fails: the plan's timeout after it began.
    fn deadline(&mut self, reactor: &mut dyn Reactor) -> Instant {
        if let Some((deadline, _)) = self.deadline {
            return deadline;
        }
        let now = Instant::now();
        let far = now + Duration::from_secs(1 << 30);
        let deadline = now.checked_add(self.job.plan.timeout).unwrap_or(far);
        let timer = self.schedule(deadline, reactor, Self::time_out);
        self.deadline = Some((deadline, timer));
        deadline
    }

    /// Calls `then` at `when`, unless this connection is gone by then.
    fn schedule(
        &self,
        when: Instant,
        reactor: &mut dyn Reactor,
        then: impl FnOnce(&mut Self, &mut dyn Reactor) + Send + 'static,
    ) -> TimerId {
        let me = Weak::clone(&self.me);
        reactor.schedule(
            when,
            Box::new(move |reactor| {
                if let Some(attempt) = me.upgrade() {
                    then(&mut attempt.lock(), reactor);
                }
            }),
        )
    }

    /// Waits for an opener, and returns what takes its result.
    fn open_done(&mut self, reactor: &mut dyn Reactor) -> io::Result<OpenDone> {
        let attempt = self.me.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let progress = Progress::new(Stage::Connect);
        let sink = SinkHandle(Arc::clone(&attempt) as Arc<dyn Sink>);
        let token = reactor.register(Box::new(OpeningStream { name: self.job.plan.name.clone(), sink }))?;
        self.phase = Phase::Opening(Arc::clone(&progress), token);
        let broker = self.launcher.router().broker().clone();
        let opening = Arc::clone(&progress);
        Ok(OpenDone::new(progress, move |result| {
            // A link that a stopped broker does not take is closed.
            let _ = broker.defer(move |reactor| attempt.lock().opened(&opening, result, reactor));
        }))
    }

    /// Takes the result of an opener. A result that comes too late is closed by being dropped.
    fn opened(
        &mut self,
        opening: &Arc<Progress>,
        result: Result<OpenedLink, Failure>,
        reactor: &mut dyn Reactor,
    ) {
        match &self.phase {
            Phase::Opening(now, token) if Arc::ptr_eq(now, opening) => reactor.disconnect(*token),
            _ => return,
        }
        match result {
            Ok(link) => self.converse(link, reactor),
            Err(failure) => self.fail(failure, reactor),
        }
    }

    /// Fails before there is a link.
    fn refuse(&mut self, message: String, reactor: &mut dyn Reactor) {
        let failure = Failure::new(Stage::Spawn, FailureKind::SpawnFailed, message);
        self.fail(failure, reactor);
    }

    /// Begins the dialogue on an open link.
    fn converse(&mut self, link: OpenedLink, reactor: &mut dyn Reactor) {
        let Some(ends) = link.take() else { return };
        let end = ends.end.clone();
        match self.register(ends, reactor) {
            Ok(talk) => self.phase = Phase::Talking(Box::new(talk)),
            Err(error) => {
                end.terminate(reactor);
                return self.refuse(format!("cannot use its descriptors: {error}"), reactor);
            }
        }
        let me = Weak::clone(&self.me);
        end.on_exit(reactor, move |_, reactor| {
            // Deferred, because the caller may hold the lock.
            let now = reactor.now();
            reactor.schedule(
                now,
                Box::new(move |reactor| {
                    if let Some(attempt) = me.upgrade() {
                        attempt.lock().settle(reactor);
                    }
                }),
            );
        });
        if self.job.plan.preamble == Preamble::Immediately {
            self.send_preamble();
        }
    }

    /// Registers the streams of an open link.
    fn register(&self, ends: Ends, reactor: &mut dyn Reactor) -> io::Result<Talk> {
        let Ends { mut receive, mut transmit, stderr, end } = ends;
        let touch = Touch::new();
        receive.bind(&touch);
        transmit.bind(&touch);
        let name = &self.job.plan.name;
        let sink = SinkHandle(self.me.upgrade().ok_or(io::ErrorKind::NotConnected)?);
        let writer = Writer::boxed(transmit, LINK_HIGH_WATER);
        let stream = BootstrapStream::new(name.clone(), sink.clone(), receive, writer.clone());
        let link_token = reactor.register(Box::new(stream))?;
        writer.bind_to(reactor.handle(), link_token);
        watch(&end, &touch, reactor, link_token);
        let stderr = match stderr {
            None => None,
            Some(mut side) => {
                let touch = Touch::new();
                side.bind(&touch);
                let side = SharedSide::new(side);
                let stream = StderrStream::new(name.clone(), sink, side.clone());
                let token = reactor.register(Box::new(stream)).inspect_err(|_| {
                    reactor.disconnect(link_token);
                })?;
                watch(&end, &touch, reactor, token);
                Some((side, token))
            }
        };
        let engine = Engine::new(&self.job.plan.dialogue, &self.job.plan.secrets);
        Ok(Talk { engine, end, writer, link_token, stderr, lingering: None, link_eof: false })
    }

    /// Lets the router write the preamble, and the frames that it has kept for the context.
    fn send_preamble(&self) {
        if let Phase::Talking(talk) = &self.phase {
            let links = self.launcher.router().links();
            links.attach(self.job.link, self.job.preamble.clone(), talk.writer.clone());
        }
    }

    fn talk(&mut self) -> Option<&mut Talk> {
        match &mut self.phase {
            Phase::Talking(talk) => Some(talk),
            _ => None,
        }
    }

    fn feed(&mut self, source: Source, bytes: &[u8], reactor: &mut dyn Reactor) -> FeedResult {
        let Some(talk) = self.talk() else { return FeedResult::Finished };
        let steps = talk.engine.feed(source, bytes);
        self.perform(steps, reactor)
    }

    /// The exit status says what the end of the link means, so the process is given time to end.
    fn eof(&mut self, source: Source, reactor: &mut dyn Reactor) {
        let Some(talk) = self.talk() else { return };
        if source == Source::Link {
            talk.link_eof = true;
        }
        let steps = talk.engine.eof(source);
        if matches!(self.perform(steps, reactor), FeedResult::Continue) && source == Source::Link {
            self.settle(reactor);
        }
    }

    /// Fails the try when both its link and its process have ended; when one has, gives the other time.
    fn settle(&mut self, reactor: &mut dyn Reactor) {
        let Some(talk) = self.talk() else { return };
        let ended = talk.end.has_ended();
        if ended && talk.link_eof {
            self.conclude(reactor);
        } else if (ended || talk.link_eof) && talk.lingering.is_none() {
            if talk.link_eof {
                talk.end.wind_down(reactor);
            }
            let timer = self.schedule(reactor.now() + LINGER, reactor, Self::conclude);
            if let Some(talk) = self.talk() {
                talk.lingering = Some(timer);
            }
        }
    }

    /// Reads the rest of the stderr channel, and lets the dialogue say what the end means.
    fn conclude(&mut self, reactor: &mut dyn Reactor) {
        let Some(talk) = self.talk() else { return };
        let mut rest = Vec::new();
        if let Some((side, _)) = &talk.stderr {
            let mut side = side.lock();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = side.read(&mut buffer) {
                rest.extend_from_slice(&buffer[..count]);
            }
        }
        let steps = talk.engine.feed(Source::Diag, &rest);
        if let FeedResult::Continue = self.perform(steps, reactor)
            && let Some(talk) = self.talk()
        {
            let exit = talk.end.exit();
            let failure =
                talk.engine.finish(exit.and_then(|exit| exit.code), exit.and_then(|exit| exit.signal));
            self.fail(failure, reactor);
        }
    }

    fn time_out(&mut self, reactor: &mut dyn Reactor) {
        let failure = match &self.phase {
            Phase::Talking(talk) => talk.engine.timeout(),
            Phase::Opening(progress, _) => {
                let stage = progress.stage();
                Failure::new(stage, FailureKind::Timeout, format!("timed out while {}", stage.doing()))
            }
            Phase::Waiting | Phase::Over => return,
        };
        self.fail(failure, reactor);
    }

    fn cancel(&mut self, reactor: &mut dyn Reactor) {
        let stage = match &self.phase {
            Phase::Talking(talk) => talk.engine.stage(),
            Phase::Opening(progress, _) => progress.stage(),
            Phase::Waiting | Phase::Over => return,
        };
        self.fail(Failure::new(stage, FailureKind::Cancelled, CANCELLED), reactor);
    }

    fn perform(&mut self, steps: Vec<Step>, reactor: &mut dyn Reactor) -> FeedResult {
        for step in steps {
            let hop = &self.job.plan.name;
            let Phase::Talking(talk) = &mut self.phase else { return FeedResult::Finished };
            match step {
                Step::Write { to: Source::Diag, data } => {
                    let written = talk.stderr.as_ref().map(|(side, _)| side.lock().write(&data));
                    if !matches!(written, Some(Ok(Some(count))) if count == data.len()) {
                        tracing::debug!(hop, "an answer could not be written");
                    }
                }
                Step::Write { data, .. } => {
                    let _ = talk.writer.send(&[Bytes::copy_from_slice(&data)]);
                }
                Step::Log { source, line } => {
                    tracing::debug!(target: "mitogen::connect", hop, ?source, line);
                }
                Step::Ready => {
                    if self.job.plan.preamble == Preamble::AfterMarker {
                        self.send_preamble();
                    }
                }
                Step::Fail(failure) => {
                    self.fail(failure, reactor);
                    return FeedResult::Finished;
                }
                Step::Up { rest } => return FeedResult::Up { rest },
            }
        }
        FeedResult::Continue
    }

    fn established(
        &mut self,
        side: Box<dyn Side>,
        rest: &[u8],
        reactor: &mut dyn Reactor,
        token: Token,
    ) -> Option<MitogenStream> {
        let Phase::Talking(talk) = std::mem::replace(&mut self.phase, Phase::Waiting) else { return None };
        if let Some(timer) = talk.lingering {
            reactor.cancel(timer);
        }
        self.end_with_link(talk.end.clone(), talk.stderr.as_ref().map(|(_, token)| *token));
        if let Some((_, token)) = talk.stderr {
            // A background process of the program, such as a shared ssh connection, may hold the stderr
            // channel open without end.
            talk.end.on_exit(reactor, move |_, reactor| reactor.disconnect(token));
        }
        let router = self.launcher.router().clone();
        router.links().up(self.job.link);
        let name = self.job.plan.name.clone();
        let mut stream = MitogenStream::new(router, self.job.link, name, side, talk.writer, rest);
        if let Some(keepalive) = self.job.plan.keepalive {
            stream.enable_keepalive(keepalive, reactor, token);
        }
        self.finish(Ok(()), reactor);
        Some(stream)
    }

    /// Ends the remote end when the link of the context is lost. A process of this machine is left
    /// running if its context was detached; a program that only leads to another machine is not.
    fn end_with_link(&self, end: End, stderr: Option<Token>) {
        let router = self.launcher.router();
        let broker = router.broker().clone();
        let (launcher, id) = (Arc::downgrade(&self.launcher), self.job.id);
        let may_stay = self.job.plan.destination.is_none();
        router.on_disconnect(id, move |_| {
            if let Some(launcher) = launcher.upgrade()
                && launcher.detached().remove(&id)
                && may_stay
                && !launcher.is_stopping()
                && end.release(launcher.processes())
            {
                return;
            }
            let _ = broker.defer(move |reactor| {
                end.wind_down(reactor);
                if let (End::Stream(_), Some(token)) = (&end, stderr) {
                    reactor.disconnect(token);
                }
            });
        });
    }

    /// Ends the try, and tries again if the failure may be temporary.
    fn fail(&mut self, failure: Failure, reactor: &mut dyn Reactor) {
        let mut error = ConnectError::from_failure(&self.job.plan.name, failure);
        match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Over => {
                self.phase = Phase::Over;
                return;
            }
            Phase::Waiting => {}
            Phase::Opening(progress, token) => {
                reactor.disconnect(token);
                progress.cancel();
            }
            Phase::Talking(talk) => {
                let exit = talk.end.exit();
                error.status = exit.and_then(|exit| exit.code);
                error.signal = exit.and_then(|exit| exit.signal);
                error.output = talk.engine.output();
                self.hang_up(&talk, reactor);
            }
        }
        if self.retry(&error, reactor) {
            return;
        }
        error.argv = self.job.plan.printed_argv();
        self.finish(Err(error), reactor);
    }

    /// Closes the link of a failed try and ends its process.
    fn hang_up(&self, talk: &Talk, reactor: &mut dyn Reactor) {
        if let Some(timer) = talk.lingering {
            reactor.cancel(timer);
        }
        self.launcher.router().links().detach(self.job.link);
        talk.writer.close();
        reactor.disconnect(talk.link_token);
        if let Some((_, token)) = &talk.stderr {
            reactor.disconnect(*token);
        }
        talk.end.terminate(reactor);
    }

    /// Schedules another try, if it makes sense and there is time for it.
    fn retry(&mut self, error: &ConnectError, reactor: &mut dyn Reactor) -> bool {
        if !error.kind.is_transient() || self.launcher.is_stopping() {
            return false;
        }
        // While others get in, the server only has too many at once.
        let successes = self.launcher.successes(&self.job.plan.destination);
        if successes > self.successes {
            self.tries = 0;
        }
        self.successes = successes;
        let delay = retry_delay(self.tries + 1, self.launcher.noise());
        let when = reactor.now() + delay;
        let in_time = self.deadline.is_some_and(|(deadline, _)| when < deadline);
        if self.tries >= RETRIES || !in_time {
            return false;
        }
        let Some(attempt) = self.me.upgrade() else { return false };
        self.tries += 1;
        tracing::debug!(hop = error.hop, tries = self.tries, message = error.message, "trying again");
        self.leave(|_| Ended::Dropped, reactor);
        if let Some((_, timer)) = self.deadline.take() {
            reactor.cancel(timer);
        }
        // The timer owns the connection, and then the queue: nothing else does until the next try.
        let (launcher, destination) = (Arc::clone(&self.launcher), self.job.plan.destination.clone());
        reactor
            .schedule(when, Box::new(move |reactor| launcher.enter(&destination, begin(attempt), reactor)));
        true
    }

    fn finish(&mut self, outcome: Result<(), ConnectError>, reactor: &mut dyn Reactor) {
        if let Phase::Over = std::mem::replace(&mut self.phase, Phase::Over) {
            return;
        }
        if let Some((_, timer)) = self.deadline.take() {
            reactor.cancel(timer);
        }
        let is_up = outcome.is_ok();
        self.launcher.conclude(self.job.link, &self.job.done, outcome);
        self.leave(|turn| if is_up { Ended::Up(turn.began.elapsed()) } else { Ended::Failed }, reactor);
    }
}
