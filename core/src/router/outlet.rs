//! Where a link's frames go: to its writer or, while the connection is being made, into a list.
//!
//! A context can be called before its process has been started. What is sent to it until it is up is
//! kept, so that a connection that is tried again begins with the same frames.
//!
//! An outlet is plain data under the router's table lock and writes nothing itself: it gives out a
//! [`Batch`], which the caller writes after it has released the lock. Frames stay in order because one
//! batch of a link is outstanding at a time: what is sent meanwhile is added to the list, and the thread
//! that has written the batch asks for the next one. The link becomes live, so that senders write to it
//! themselves, only when the list has been written to its end.

use bytes::Bytes;

use crate::io::Writer;

/// The sending half of a link as the router sees it.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Not up yet.
    Connecting(Connecting),
    /// Up.
    Live(Writer),
}

/// A link that is not up.
#[derive(Debug, Default)]
pub(crate) struct Connecting {
    /// All frames sent so far, in order.
    sent: Vec<Bytes>,
    /// The process of the present attempt, once it may be written to.
    attempt: Option<Attempt>,
    /// How many attempts there have been.
    attempts: u64,
}

#[derive(Debug)]
struct Attempt {
    writer: Writer,
    /// How much of `sent` has been given out to be written.
    given: usize,
    /// A batch has been given out, and `next_batch` not been called yet.
    is_writing: bool,
    is_up: bool,
}

/// What is to be written outside of the table's lock. When that is done, [`Outlet::next_batch`] is due.
#[derive(Debug)]
#[must_use = "nothing more is written to the link until `next_batch` has been called"]
pub(crate) struct Batch {
    pub(crate) writer: Writer,
    pub(crate) parts: Vec<Bytes>,
    /// The attempt that it is for.
    pub(crate) attempt: u64,
}

impl Outlet {
    /// An outlet without a process.
    pub(crate) fn connecting() -> Self {
        Self::Connecting(Connecting::default())
    }

    /// The writer of a link that is up, for the caller to write to outside of the table's lock.
    pub(crate) fn live(&self) -> Option<&Writer> {
        match self {
            Self::Live(writer) => Some(writer),
            Self::Connecting(_) => None,
        }
    }

    /// Adds `parts` to what the link is sent, if it is not live; gives what is to be written now.
    pub(crate) fn queue(&mut self, parts: &[Bytes]) -> Option<Batch> {
        let Self::Connecting(connecting) = self else { return None };
        connecting.sent.extend_from_slice(parts);
        match &connecting.attempt {
            Some(attempt) if !attempt.is_writing => connecting.batch(),
            _ => None,
        }
    }

    /// A process can be written to: it gets `preamble`, then all that was sent so far.
    pub(crate) fn attach(&mut self, preamble: Bytes, writer: Writer) -> Option<Batch> {
        let Self::Connecting(connecting) = self else { return None };
        connecting.attempts += 1;
        connecting.attempt = Some(Attempt { writer, given: 0, is_writing: false, is_up: false });
        connecting.batch().map(|mut batch| {
            batch.parts.insert(0, preamble);
            batch
        })
    }

    /// A batch of `attempt` has been written: what is to be written next. The link becomes live when
    /// nothing is left and it is up.
    pub(crate) fn next_batch(&mut self, attempt: u64) -> Option<Batch> {
        let Self::Connecting(connecting) = self else { return None };
        if connecting.attempts != attempt {
            return None;
        }
        let rest = connecting.sent.len();
        let current = connecting.attempt.as_mut()?;
        if current.given < rest {
            return connecting.batch();
        }
        current.is_writing = false;
        self.settle();
        None
    }

    /// The attempt has failed: what was sent waits for the next one. Gives its writer.
    pub(crate) fn detach(&mut self) -> Option<Writer> {
        match self {
            Self::Connecting(connecting) => connecting.attempt.take().map(|attempt| attempt.writer),
            Self::Live(_) => None,
        }
    }

    /// The link is up.
    pub(crate) fn up(&mut self) {
        if let Self::Connecting(Connecting { attempt: Some(attempt), .. }) = self {
            attempt.is_up = true;
        }
        self.settle();
    }

    /// The writer, if there is one.
    pub(crate) fn writer(&self) -> Option<&Writer> {
        match self {
            Self::Connecting(connecting) => connecting.attempt.as_ref().map(|attempt| &attempt.writer),
            Self::Live(writer) => Some(writer),
        }
    }

    /// Makes the link live if it is up and no batch is being written.
    fn settle(&mut self) {
        if let Self::Connecting(Connecting { attempt: Some(attempt), .. }) = self
            && attempt.is_up
            && !attempt.is_writing
        {
            *self = Self::Live(attempt.writer.clone());
        }
    }
}

impl Connecting {
    /// All that the present attempt has not been given yet.
    fn batch(&mut self) -> Option<Batch> {
        let attempt = self.attempt.as_mut()?;
        let parts = self.sent[attempt.given..].to_vec();
        attempt.given = self.sent.len();
        attempt.is_writing = true;
        Some(Batch { writer: attempt.writer.clone(), parts, attempt: self.attempts })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::BorrowedFd;

    use super::*;
    use crate::io::Side;

    #[derive(Debug)]
    struct Sink;

    impl Side for Sink {
        fn fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn write(&mut self, buf: &[u8]) -> io::Result<Option<usize>> {
            Ok(Some(buf.len()))
        }

        fn close(&mut self) {}
    }

    fn writer() -> Writer {
        Writer::new(Sink, 1 << 20)
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.parts.iter().map(|part| std::str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn what_is_sent_during_a_flush_waits_for_its_end() {
        let mut outlet = Outlet::connecting();
        assert!(outlet.queue(&[bytes("1")]).is_none(), "no process yet");
        let first = outlet.attach(bytes("preamble"), writer()).unwrap();
        assert_eq!(texts(&first), ["preamble", "1"]);
        // Another thread sends while the batch is being written. It must not write by itself.
        assert!(outlet.queue(&[bytes("2")]).is_none());
        outlet.up();
        assert!(outlet.live().is_none(), "a frame of a third thread would overtake `2`");
        assert!(outlet.queue(&[bytes("3"), bytes("4")]).is_none());
        let second = outlet.next_batch(first.attempt).unwrap();
        assert_eq!(texts(&second), ["2", "3", "4"]);
        assert!(outlet.live().is_none());
        assert!(outlet.next_batch(second.attempt).is_none());
        assert!(outlet.live().is_some());
    }

    #[test]
    fn between_batches_a_sender_writes_what_it_sends() {
        let mut outlet = Outlet::connecting();
        let first = outlet.attach(bytes("preamble"), writer()).unwrap();
        assert!(outlet.next_batch(first.attempt).is_none());
        let sent = outlet.queue(&[bytes("1")]).unwrap();
        assert_eq!(texts(&sent), ["1"]);
        outlet.up();
        assert!(outlet.live().is_none());
        assert!(outlet.next_batch(sent.attempt).is_none());
        assert!(outlet.live().is_some());
    }

    #[test]
    fn another_attempt_gets_everything_again() {
        let mut outlet = Outlet::connecting();
        let first = outlet.attach(bytes("preamble"), writer()).unwrap();
        assert!(outlet.queue(&[bytes("1")]).is_none());
        assert!(outlet.detach().is_some());
        assert!(outlet.queue(&[bytes("2")]).is_none());
        let second = outlet.attach(bytes("again"), writer()).unwrap();
        assert_eq!(texts(&second), ["again", "1", "2"]);
        // The thread that wrote for the first attempt comes back late.
        assert!(outlet.next_batch(first.attempt).is_none());
        outlet.up();
        assert!(outlet.live().is_none(), "the second attempt is still being written");
        assert!(outlet.next_batch(second.attempt).is_none());
        assert!(outlet.live().is_some());
        assert!(outlet.next_batch(first.attempt).is_none());
    }

    #[test]
    fn a_failed_attempt_is_not_written_to() {
        let mut outlet = Outlet::connecting();
        let first = outlet.attach(bytes("preamble"), writer()).unwrap();
        assert!(outlet.detach().is_some());
        assert!(outlet.next_batch(first.attempt).is_none());
        outlet.up();
        assert!(outlet.live().is_none() && outlet.writer().is_none());
    }
}
