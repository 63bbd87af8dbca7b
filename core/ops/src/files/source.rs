//! The side of a transfer that reads, on this host.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mitogen_core::call::Context;
use mitogen_core::pickle::Value;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use sha2::{Digest, Sha256};

use super::broadcast::{Step, Subscription};
use super::error::FileError;
use super::options::TransferOptions;
use super::part::{digest_prefix, hex};
use super::report::{Skipped, TransferProgress, TransferReport};
use super::scan::{SourceEntry, Sources};
use super::session::{CHUNK_SIZE, ENTRY_COST, Incoming, RESUME_THRESHOLD, Session, WINDOW, bytes, number};

/// A file that is about to be sent to one target.
pub(super) struct FileStart<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a Arc<File>,
    pub(super) identity: FileIdentity,
    /// How many bytes the target has already.
    pub(super) offset: u64,
    /// The digest of those bytes.
    pub(super) digest: &'a Sha256,
    /// How many bytes the target accepts now.
    pub(super) room: u64,
}

/// Two files with equal identities have the same contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
}

impl FileIdentity {
    fn of(status: &Metadata) -> Self {
        Self {
            device: status.dev(),
            inode: status.ino(),
            size: status.len(),
            mtime: (status.mtime(), status.mtime_nsec()),
        }
    }
}

/// Where transfers of the same files meet, to send the contents of a file together.
pub(super) trait Rendezvous {
    /// Waits for the other transfers before a file. Returns the subscription to the shared contents, or
    /// `None` if this target is sent the file alone.
    fn join(&mut self, session: &Session, start: &FileStart<'_>) -> Option<Subscription>;
}

/// Starts the remote side of a transfer of `sources` to `dest`.
pub(super) fn open(
    context: &Context,
    sources: &Sources,
    dest: &[u8],
    options: &TransferOptions,
) -> Result<Session, FileError> {
    let into = sources.entries.len() > 1 || dest.ends_with(b"/");
    Session::open(context, "put", vec![Value::from(dest), Value::Bool(into)], options)
}

/// Sends all sources, together with the transfers that `rendezvous` finds.
pub(super) fn send<'a>(
    session: &'a mut Session,
    sources: &Sources,
    options: &TransferOptions,
    rendezvous: Option<&'a mut dyn Rendezvous>,
    progress: &'a mut dyn FnMut(&TransferProgress),
) -> Result<TransferReport, FileError> {
    let report = TransferReport { progress: sources.total(), skipped: Vec::new() };
    progress(&report.progress);
    let buffer = BytesMut::new();
    let mut source =
        Source { session, rendezvous, resume: options.resume, room: WINDOW, report, progress, buffer };
    for SourceEntry { path, name, status } in &sources.entries {
        source.entry(path, name.clone(), status, true)?;
    }
    source.session.send_op("finish", Vec::new())?;
    loop {
        if let Incoming::Op(name, _) = source.session.next()?
            && name == "finished"
        {
            return Ok(source.report);
        }
    }
}

struct Source<'a> {
    session: &'a mut Session,
    rendezvous: Option<&'a mut dyn Rendezvous>,
    resume: bool,
    /// How many bytes the target accepts now.
    room: u64,
    report: TransferReport,
    progress: &'a mut dyn FnMut(&TransferProgress),
    buffer: BytesMut,
}

impl Source<'_> {
    fn entry(&mut self, path: &Path, name: Bytes, status: &Metadata, top: bool) -> Result<(), FileError> {
        let kind = status.file_type();
        if kind.is_file() {
            self.file(path, name, top)
        } else if kind.is_symlink() {
            match fs::read_link(path) {
                Ok(to) => {
                    let to = Bytes::from(to.into_os_string().into_vec());
                    self.send_entry("link", vec![Value::Bytes(name), Value::Bytes(to)])
                }
                Err(error) => self.skip(path, &error),
            }
        } else if kind.is_dir() {
            self.directory(path, name, status)
        } else {
            self.skip(path, &io::Error::other("neither a file, a directory nor a symbolic link"))
        }
    }

    fn directory(&mut self, path: &Path, name: Bytes, status: &Metadata) -> Result<(), FileError> {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.skip(path, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        self.send_entry("dir", vec![Value::Bytes(name), mode_of(status), mtime_of(status)])?;
        for entry in entries {
            let path = entry.path();
            match path.symlink_metadata() {
                Ok(status) => {
                    let name = Bytes::copy_from_slice(entry.file_name().as_bytes());
                    self.entry(&path, name, &status, false)?;
                }
                Err(error) => self.skip(&path, &error)?,
            }
        }
        self.send_entry("up", Vec::new())
    }

    /// Leaves out what cannot be read, and notes it in the report.
    fn skip(&mut self, path: &Path, error: &io::Error) -> Result<(), FileError> {
        let FileError::Local { path, text, .. } = FileError::local(path, error) else { return Ok(()) };
        self.report.skipped.push(Skipped { path, reason: text });
        Ok(())
    }

    fn file(&mut self, path: &Path, name: Bytes, top: bool) -> Result<(), FileError> {
        // The file may have been replaced since it was examined: a pipe must not block the open, and a
        // link must not be followed.
        let flags = if top { O_NONBLOCK } else { O_NONBLOCK | O_NOFOLLOW };
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let (file, before) = match opened.and_then(|file| file.metadata().map(|status| (file, status))) {
            Ok((file, status)) if status.is_file() => (Arc::new(file), status),
            Ok(_) => return self.skip(path, &io::Error::other("no longer a regular file")),
            Err(error) => return self.skip(path, &error),
        };
        let size = before.len();
        let resume = self.resume && size >= RESUME_THRESHOLD;
        let fields = vec![
            Value::Bytes(name),
            Value::from(size),
            mode_of(&before),
            mtime_of(&before),
            Value::Bool(resume),
        ];
        self.send_entry("file", fields)?;
        let at = |error: io::Error| FileError::local(path, &error);
        let mut digest = Sha256::new();
        let (mut offset, mut in_place) = (0, false);
        if resume {
            (offset, in_place) =
                self.agree_on_offset(&file, size, &mut digest).map_err(|error| error.at(path))?;
        }
        self.report.progress.resumed += offset;
        self.report_progress(offset);
        let mut sum = None;
        if size > 0 {
            sum = self.send_shared(path, &file, &before, &mut offset, &mut digest)?;
        }
        while offset < size && sum.is_none() {
            let wanted = usize::try_from(size - offset).unwrap_or(CHUNK_SIZE).min(CHUNK_SIZE);
            self.buffer.resize(wanted, 0);
            let count = match file.read_at(&mut self.buffer, offset) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(error)),
            };
            let data = self.buffer.split_to(count).freeze();
            self.buffer.clear();
            self.take_room(count as u64)?;
            digest.update(&data);
            self.session.send_data(data)?;
            offset += count as u64;
            self.report_progress(count as u64);
        }
        let after = file.metadata().map_err(at)?;
        if offset != size || FileIdentity::of(&after) != FileIdentity::of(&before) {
            self.session.send_op("changed", Vec::new())?;
            return Err(FileError::source_changed(path));
        }
        let sum = sum.unwrap_or_else(|| hex(digest));
        self.session.send_op("end", vec![Value::from(sum.as_bytes())])?;
        self.report.progress.files += 1;
        self.report.progress.unchanged += u64::from(in_place);
        self.report_progress(0);
        Ok(())
    }

    /// Sends what is not contents, when the target accepts it.
    fn send_entry(&mut self, name: &str, fields: Vec<Value>) -> Result<(), FileError> {
        self.take_room(ENTRY_COST)?;
        self.session.send_op(name, fields)
    }

    /// Adds `count` bytes to the progress and calls the caller's function.
    fn report_progress(&mut self, count: u64) {
        self.report.progress.bytes += count;
        (self.progress)(&self.report.progress);
    }

    /// Sends the contents together with other transfers, as far as there are any. Returns the checksum if
    /// that was the rest of the file; otherwise this transfer continues alone from `offset` and `digest`.
    fn send_shared(
        &mut self,
        path: &Path,
        file: &Arc<File>,
        status: &Metadata,
        offset: &mut u64,
        digest: &mut Sha256,
    ) -> Result<Option<String>, FileError> {
        let Some(rendezvous) = self.rendezvous.as_mut() else { return Ok(None) };
        let identity = FileIdentity::of(status);
        let start = FileStart { path, file, identity, offset: *offset, digest, room: self.room };
        let Some(mut shared) = rendezvous.join(self.session, &start) else { return Ok(None) };
        loop {
            let (reached, step) = shared.advance()?;
            self.report_progress(reached - *offset);
            *offset = reached;
            match step {
                Step::Finished(sum) => {
                    self.room = shared.room();
                    return Ok(Some(sum));
                }
                Step::Alone(digest_so_far) => {
                    self.room = shared.room();
                    *digest = digest_so_far;
                    return Ok(None);
                }
                Step::Wait(limit) => self.drain(&shared, limit)?,
            }
        }
    }

    /// Waits for a message of the target, and processes all that have arrived.
    fn drain(&mut self, shared: &Subscription, limit: Option<Duration>) -> Result<(), FileError> {
        let mut incoming = self.session.wait(limit)?;
        while let Some(Incoming::Op(name, fields)) = incoming {
            if let ("credit", [count]) = (name.as_str(), fields.as_slice()) {
                shared.credit(number(count)?);
            }
            incoming = self.session.try_next()?;
        }
        Ok(())
    }

    /// Agrees with the target on the offset to start at: the length of what it has if the file begins with
    /// the same bytes, otherwise 0. `digest` is then that of all before the offset. Also returns whether the target
    /// has the whole file in place.
    fn agree_on_offset(
        &mut self,
        file: &File,
        size: u64,
        digest: &mut Sha256,
    ) -> Result<(u64, bool), OpenError> {
        let (have, remote_sum, in_place) = loop {
            match self.session.next()? {
                Incoming::Op(name, fields) if name == "have" && fields.len() == 3 => {
                    let in_place = fields[2].as_bool().unwrap_or(false);
                    break (number(&fields[0])?.min(size), bytes(&fields[1])?.clone(), in_place);
                }
                Incoming::Op(name, fields) => self.credit(&name, &fields)?,
                Incoming::Data(_) => {}
            }
        };
        let read = digest_prefix(file, have, digest)?;
        let mut offset = have;
        if read != have || hex(digest.clone()).as_bytes() != remote_sum {
            *digest = Sha256::new();
            offset = 0;
        }
        self.session.send_op("from", vec![Value::from(offset)])?;
        Ok((offset, in_place && offset == size))
    }

    fn credit(&mut self, name: &str, fields: &[Value]) -> Result<(), FileError> {
        if let ("credit", [count]) = (name, fields) {
            self.room = self.room.saturating_add(number(count)?);
        }
        Ok(())
    }

    /// Waits until the target accepts `count` bytes, and counts them as sent.
    fn take_room(&mut self, count: u64) -> Result<(), FileError> {
        loop {
            let incoming = match self.session.try_next()? {
                Some(incoming) => incoming,
                None if self.room >= count => break,
                None => self.session.next()?,
            };
            if let Incoming::Op(name, fields) = incoming {
                self.credit(&name, &fields)?;
            }
        }
        self.room -= count;
        Ok(())
    }
}

/// An error before the first byte of a file; one of the file system does not have the path yet.
enum OpenError {
    Io(io::Error),
    File(FileError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl OpenError {
    fn at(self, path: &Path) -> FileError {
        match self {
            Self::Io(error) => FileError::local(path, &error),
            Self::File(error) => error,
        }
    }
}

fn mode_of(status: &Metadata) -> Value {
    Value::Int((status.mode() & 0o7777).into())
}

/// Nanoseconds since 1970.
fn mtime_of(status: &Metadata) -> Value {
    Value::Int(status.mtime().saturating_mul(1_000_000_000).saturating_add(status.mtime_nsec()))
}
