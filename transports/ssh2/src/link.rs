//! The link over one channel of one session: two sides for the broker's poller, and the remote standard error.
//!
//! The session does not block, and one lock guards it. What libssh2 requires:
//!
//! - It reads packets whenever it is called, also to write. What it has read the descriptor does not show any more, so
//!   the receiving side is touched after a write that left something to read.
//! - A write that would block must be repeated with the same bytes. The transmitting side keeps a copy of them. The
//!   writer offers bytes that were not taken again, so the copy is what it offers first.
//! - Data of standard error counts against the window of the channel. It is read with every read.
//! - A read may have to write, to open the window or to exchange keys again. If the socket is full then, a thread waits
//!   until it is not.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mitogen_core::connect::{OpenedLink, RemoteEnd};
use mitogen_core::io::{Residual, Side, Touch};
use mitogen_core::sys::ExitStatus;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{Shutdown, shutdown};
use ssh2::{BlockDirections, Channel, Session};

/// The most bytes that one write offers to libssh2: about one packet.
const OFFER: usize = 32_000;
/// The number of a channel's stream for standard error.
const STDERR: i32 = 1;
/// The most bytes of standard error that wait to be read; more are dropped from the front.
const MAX_STDERR: usize = 256 << 10;
/// How long the exit status is waited for after the end of the output.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// A channel, and what its sides share.
pub(crate) struct Link {
    socket: Arc<OwnedFd>,
    state: Mutex<State>,
}

struct State {
    session: Session,
    channel: Channel,
    /// Bytes that libssh2 was offered and has not taken.
    offered: Vec<u8>,
    /// Bytes that libssh2 has taken since, of those that the writer has still to offer again.
    ahead: usize,
    /// A thread waits until the socket can be written.
    waits_for_space: bool,
    receive: Touch,
    stderr: Touch,
    errors: VecDeque<u8>,
    /// When the output ended, if it has.
    ended: Option<Instant>,
    /// The remote end has closed the channel, so its exit status is known.
    has_status: bool,
    closed: bool,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("fd", &self.socket.as_raw_fd()).finish_non_exhaustive()
    }
}

impl Link {
    /// The link over `channel` of `session`, which must not block.
    pub(crate) fn open(session: Session, channel: Channel, socket: Arc<OwnedFd>) -> io::Result<OpenedLink> {
        let state = State {
            session,
            channel,
            offered: Vec::with_capacity(OFFER),
            ahead: 0,
            waits_for_space: false,
            receive: Touch::new(),
            stderr: Touch::new(),
            errors: VecDeque::new(),
            ended: None,
            has_status: false,
            closed: false,
        };
        // libssh2 uses MSG_NOSIGNAL or not, by platform; the poller needs a descriptor that does not block.
        mitogen_core::sys::set_nonblock(&socket)?;
        let link = Arc::new(Self { socket, state: Mutex::new(state) });
        let receive = ReceiveSide { link: Arc::clone(&link), open: true, residual: Residual::Unknown };
        let transmit = TransmitSide { link: Arc::clone(&link), open: true };
        let stderr = StderrSide { link: Arc::clone(&link) };
        Ok(OpenedLink::new(receive, transmit, End(link)).with_stderr(stderr))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection. The session is freed with the last side.
    fn shut_down(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.closed = true;
            // If the socket is full, its end says the same.
            let _ = state.channel.close();
            state.stderr.touch();
        }
        drop(state);
        // It fails only if the connection has ended already.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }

    fn read(self: &Arc<Self>, buf: &mut [u8]) -> (io::Result<usize>, Residual) {
        let mut state = self.lock();
        if state.closed {
            return (Ok(0), Residual::Drained);
        }
        let result = state.channel.stream(0).read(buf);
        state.read_errors();
        state.write_pending();
        match result {
            Ok(count @ 1..) => {
                let more = state.has_input();
                (Ok(count), if more { Residual::Buffered } else { Residual::Unknown })
            }
            Ok(_) if !state.channel.eof() => {
                self.wait_for_space(&mut state);
                (Err(io::ErrorKind::WouldBlock.into()), Residual::Drained)
            }
            Ok(_) => self.end(&mut state),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait_for_space(&mut state);
                (Err(error), Residual::Drained)
            }
            Err(error) => {
                tracing::debug!(%error, "the ssh connection has ended");
                (Ok(0), Residual::Drained)
            }
        }
    }

    /// The output has ended. The exit status comes a little later; without it the end is reported after a while.
    fn end(self: &Arc<Self>, state: &mut State) -> (io::Result<usize>, Residual) {
        if state.channel.wait_close().is_ok() {
            state.has_status = true;
            return (Ok(0), Residual::Drained);
        }
        let first = state.ended.is_none();
        let ended = *state.ended.get_or_insert_with(Instant::now);
        let left = STATUS_WAIT.saturating_sub(ended.elapsed());
        if left.is_zero() {
            return (Ok(0), Residual::Drained);
        }
        if first {
            let touch = state.receive.clone();
            let timer = thread::Builder::new().name("ssh2 status".to_owned());
            let started = timer.spawn(move || {
                thread::sleep(left);
                touch.touch();
            });
            if started.is_err() {
                return (Ok(0), Residual::Drained);
            }
        }
        (Err(io::ErrorKind::WouldBlock.into()), Residual::Drained)
    }

    /// Waits on a thread until the socket can be written, if libssh2 needs that before it can read on.
    fn wait_for_space(self: &Arc<Self>, state: &mut State) {
        let outbound =
            matches!(state.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        // A write that was cut short is waited for by the poller.
        if !outbound || !state.offered.is_empty() || state.waits_for_space || state.closed {
            return;
        }
        let (socket, link) = (Arc::clone(&self.socket), Arc::downgrade(self));
        let started = thread::Builder::new().name("ssh2 space".to_owned()).spawn(move || {
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            // Ends when the socket is shut down, too. An interrupted wait is as good as one that has ended.
            let _ = poll(&mut fds, PollTimeout::NONE);
            if let Some(link) = link.upgrade() {
                let mut state = link.lock();
                state.waits_for_space = false;
                state.receive.touch();
            }
        });
        state.waits_for_space = started.is_ok();
    }

    /// Writes until all is taken or libssh2 would block: after less than that the writer waits for space in the socket.
    fn write(&self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.closed {
            return Ok(None);
        }
        let was_blocked = !state.offered.is_empty();
        let mut taken = std::mem::take(&mut state.ahead);
        let ended = loop {
            if state.offered.is_empty() {
                offer(bufs, taken, &mut state.offered);
            }
            if state.offered.is_empty() {
                break Ok(());
            }
            match state.channel.stream(0).write(&state.offered) {
                Ok(0) => break Err(io::ErrorKind::WouldBlock.into()),
                Ok(count) => {
                    taken += count;
                    state.offered.clear();
                }
                Err(error) => break Err(error),
            }
        };
        // A read may have waited for the same packet to leave.
        if state.has_input() || (was_blocked && state.offered.is_empty()) {
            state.receive.touch();
        }
        match ended {
            Ok(()) => Ok(Some(taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if taken > 0 {
                    Ok(Some(taken))
                } else {
                    Err(error)
                }
            }
            Err(error) => {
                tracing::debug!(%error, "writing to the ssh connection failed");
                Ok(None)
            }
        }
    }
}

/// Copies the bytes of `bufs` after the first `skip` to `into`, as many as one write offers.
fn offer(bufs: &[IoSlice<'_>], mut skip: usize, into: &mut Vec<u8>) {
    for buf in bufs {
        let rest = buf.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(buf.len());
        let space = OFFER - into.len();
        into.extend_from_slice(&rest[..rest.len().min(space)]);
    }
}

impl State {
    /// Repeats a write that would have blocked, because packets that were read may have opened the window, which the
    /// descriptor does not show. The stream is touched only if that was so: a touch calls both directions.
    fn write_pending(&mut self) {
        if self.offered.is_empty() || self.closed {
            return;
        }
        match self.channel.stream(0).write(&self.offered) {
            Ok(0) => {}
            Ok(count) => {
                self.ahead = count;
                self.offered.clear();
                self.receive.touch();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The next write reports it.
            Err(_) => self.receive.touch(),
        }
    }

    /// Whether a read returns something without the descriptor.
    fn has_input(&self) -> bool {
        self.channel.read_window().available > 0 || self.channel.eof()
    }

    /// Reads all of standard error that is there.
    fn read_errors(&mut self) {
        let mut buffer = [0; 4096];
        let mut any = false;
        while let Ok(count @ 1..) = self.channel.stream(STDERR).read(&mut buffer) {
            self.errors.extend(&buffer[..count]);
            any = true;
        }
        let excess = self.errors.len().saturating_sub(MAX_STDERR);
        self.errors.drain(..excess);
        if any {
            self.stderr.touch();
        }
    }
}

/// Reads standard output.
#[derive(Debug)]
struct ReceiveSide {
    link: Arc<Link>,
    open: bool,
    residual: Residual,
}

impl Side for ReceiveSide {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.link.socket.as_fd())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (result, residual) = self.link.read(buf);
        self.residual = residual;
        result
    }

    fn residual(&self) -> Residual {
        self.residual
    }

    fn write(&mut self, _buf: &[u8]) -> io::Result<Option<usize>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn close(&mut self) {
        self.open = false;
        self.link.shut_down();
    }

    fn shared_fd(&self) -> Option<Arc<OwnedFd>> {
        self.open.then(|| Arc::clone(&self.link.socket))
    }

    fn bind(&mut self, touch: &Touch) {
        let mut state = self.link.lock();
        state.receive = touch.clone();
        // The login may have read packets of the channel.
        touch.touch();
    }
}

/// Writes to standard input.
#[derive(Debug)]
struct TransmitSide {
    link: Arc<Link>,
    open: bool,
}

impl Side for TransmitSide {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.link.socket.as_fd())
    }

    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        self.link.write(bufs)
    }

    fn close(&mut self) {
        self.open = false;
        self.link.shut_down();
    }

    fn shared_fd(&self) -> Option<Arc<OwnedFd>> {
        self.open.then(|| Arc::clone(&self.link.socket))
    }
}

/// Reads what has come of standard error.
#[derive(Debug)]
struct StderrSide {
    link: Arc<Link>,
}

impl Side for StderrSide {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.link.lock();
        match state.errors.read(buf) {
            Ok(0) if state.closed || state.ended.is_some() || state.has_status => Ok(0),
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            read => read,
        }
    }

    fn residual(&self) -> Residual {
        if self.link.lock().errors.is_empty() { Residual::Drained } else { Residual::Buffered }
    }

    fn write(&mut self, _buf: &[u8]) -> io::Result<Option<usize>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn close(&mut self) {}

    fn bind(&mut self, touch: &Touch) {
        self.link.lock().stderr = touch.clone();
        touch.touch();
    }

    fn keep_alive(&self) -> bool {
        false
    }
}

/// The remote command.
#[derive(Debug)]
struct End(Arc<Link>);

impl RemoteEnd for End {
    fn exit(&self) -> Option<ExitStatus> {
        let state = self.0.lock();
        if !state.has_status {
            return None;
        }
        let signal = state.channel.exit_signal().ok().and_then(|exit| exit.exit_signal);
        if let Some(name) = signal {
            let signal = format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32);
            return Some(ExitStatus { code: None, signal });
        }
        state.channel.exit_status().ok().map(|code| ExitStatus { code: Some(code), signal: None })
    }

    fn wind_down(&self) {
        self.0.shut_down();
    }

    fn terminate(&self) {
        self.0.shut_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_continues_where_the_last_ended() {
        let (one, two) = (vec![1; 3], vec![2; OFFER]);
        let bufs = [IoSlice::new(&one), IoSlice::new(&[]), IoSlice::new(&two)];
        let offered = |skip| {
            let mut into = Vec::new();
            offer(&bufs, skip, &mut into);
            into
        };
        assert_eq!(offered(0).len(), OFFER);
        assert_eq!(&offered(0)[..4], [1, 1, 1, 2]);
        assert_eq!(&offered(2)[..2], [1, 2]);
        assert_eq!(offered(3).len(), OFFER);
        assert_eq!(offered(OFFER).len(), 3);
        assert!(offered(OFFER + 3).is_empty());
    }
}
