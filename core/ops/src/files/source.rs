//! The end that reads, here.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mitogen_core::pickle::Value;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use sha2::{Digest, Sha256};

use super::broadcast::{Step, Subscription};
use super::error::FileError;
use super::group::{Looks, Member, Opening};
use super::part::{digest_upto, hex};
use super::session::{Said, Session, bytes, number};
use super::{CHUNK, Options, Progress, Report, Skipped, WINDOW, WORTH_RESUMING};

/// Files and directories to send, looked at once for however many contexts get them.
#[derive(Clone, Debug)]
pub struct Sources {
    sources: Vec<(PathBuf, Bytes, Metadata)>,
    total: Progress,
}

impl Sources {
    /// Looks at the sources, and at all that is in them: how much there is to send.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn survey<P: AsRef<Path>>(paths: &[P]) -> Result<Self, FileError> {
        let mut survey = Self { sources: Vec::new(), total: Progress::default() };
        for path in paths.iter().map(AsRef::as_ref) {
            let status = fs::metadata(path).map_err(|error| FileError::here(path, &error))?;
            measure(path, &status, &mut survey.total);
            survey.sources.push((path.to_owned(), name_of(path), status));
        }
        Ok(survey)
    }

    /// Where they are.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|(path, ..)| path.as_path())
    }

    /// How much they are; only the totals are set.
    pub fn total(&self) -> Progress {
        self.total
    }
}

/// The name that a source gets at the target.
fn name_of(path: &Path) -> Bytes {
    let name = match path.file_name() {
        Some(name) => Some(name.to_owned()),
        // `.` and `..` have names where they really are.
        None => fs::canonicalize(path).ok().and_then(|path| path.file_name().map(ToOwned::to_owned)),
    };
    name.map_or_else(|| Bytes::from_static(b"root"), |name| Bytes::from(name.into_vec()))
}

fn measure(path: &Path, status: &Metadata, total: &mut Progress) {
    if status.is_file() {
        total.total_files += 1;
        total.total_bytes += status.len();
    } else if status.is_dir() {
        // What cannot be read is told of when its turn comes.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if let Ok(status) = entry.path().symlink_metadata() {
                measure(&entry.path(), &status, total);
            }
        }
    }
}

/// Sends all of it; where `member` says so, together with others.
pub(super) fn send(
    session: &mut Session,
    sources: &Sources,
    options: &Options,
    member: Option<&mut Member>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Report, FileError> {
    let report = Report { progress: sources.total, skipped: Vec::new() };
    progress(&report.progress);
    let buffer = BytesMut::new();
    let mut source =
        Source { session, member, resume: options.resume, room: WINDOW, report, progress, buffer };
    for (path, name, status) in &sources.sources {
        source.entry(path, name.clone(), status, true)?;
    }
    source.session.tell("finish", Vec::new())?;
    loop {
        if let Said::Op(word, _) = source.session.next()?
            && word == "finished"
        {
            return Ok(source.report);
        }
    }
}

struct Source<'a> {
    session: &'a mut Session,
    member: Option<&'a mut Member>,
    resume: bool,
    room: u64,
    report: Report,
    progress: &'a mut dyn FnMut(&Progress),
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
                    self.session.tell("link", vec![Value::Bytes(name), Value::Bytes(to)])
                }
                Err(error) => self.skip(path, &error),
            }
        } else if kind.is_dir() {
            self.directory(path, name, status)
        } else {
            let what = "neither a file nor a directory nor a link";
            self.skip(path, &io::Error::other(what))
        }
    }

    fn directory(&mut self, path: &Path, name: Bytes, status: &Metadata) -> Result<(), FileError> {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.skip(path, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        self.session.tell("dir", vec![Value::Bytes(name), mode_of(status), mtime_of(status)])?;
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
        self.session.tell("up", Vec::new())
    }

    /// What cannot be read is left out, and told of at the end.
    fn skip(&mut self, path: &Path, error: &io::Error) -> Result<(), FileError> {
        let FileError::Here { path, text, .. } = FileError::here(path, error) else { return Ok(()) };
        self.report.skipped.push(Skipped { path, reason: text });
        Ok(())
    }

    fn file(&mut self, path: &Path, name: Bytes, top: bool) -> Result<(), FileError> {
        // Should a pipe or a link have taken its place meanwhile, neither is followed.
        let flags = if top { O_NONBLOCK } else { O_NONBLOCK | O_NOFOLLOW };
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let (file, before) = match opened.and_then(|file| file.metadata().map(|status| (file, status))) {
            Ok((file, status)) if status.is_file() => (Arc::new(file), status),
            Ok(_) => return self.skip(path, &io::Error::other("not a regular file any more")),
            Err(error) => return self.skip(path, &error),
        };
        let size = before.len();
        let ask = self.resume && size >= WORTH_RESUMING;
        let fields = vec![
            Value::Bytes(name),
            Value::from(size),
            mode_of(&before),
            mtime_of(&before),
            Value::Bool(ask),
        ];
        self.session.tell("file", fields)?;
        let at = |error: io::Error| FileError::here(path, &error);
        let mut digest = Sha256::new();
        let mut offset = 0;
        if ask {
            offset = self.begin(&file, size, &mut digest).map_err(|error| error.at(path))?;
        }
        self.report.progress.resumed += offset;
        self.moved(offset);
        let mut sum = None;
        if size > 0 {
            sum = self.share(path, &file, &before, &mut offset, &mut digest)?;
        }
        while offset < size && sum.is_none() {
            let wanted = usize::try_from(size - offset).unwrap_or(CHUNK).min(CHUNK);
            self.buffer.resize(wanted, 0);
            let count = match file.read_at(&mut self.buffer, offset) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(error)),
            };
            let data = self.buffer.split_to(count).freeze();
            self.buffer.clear();
            self.spend(count as u64)?;
            digest.update(&data);
            self.session.data(data)?;
            offset += count as u64;
            self.moved(count as u64);
        }
        let after = file.metadata().map_err(at)?;
        let same = (after.len(), after.mtime(), after.mtime_nsec())
            == (before.len(), before.mtime(), before.mtime_nsec());
        if offset != size || !same {
            self.session.tell("changed", Vec::new())?;
            return Err(FileError::changed(path));
        }
        let sum = sum.unwrap_or_else(|| hex(digest));
        self.session.tell("end", vec![Value::from(sum.as_bytes())])?;
        self.report.progress.files += 1;
        (self.progress)(&self.report.progress);
        Ok(())
    }

    fn moved(&mut self, count: u64) {
        self.report.progress.bytes += count;
        (self.progress)(&self.report.progress);
    }

    /// Sends together with others who are there. Gives the checksum if that was all of the file; else
    /// it goes on alone, from where `offset` and `digest` are then.
    fn share(
        &mut self,
        path: &Path,
        file: &Arc<File>,
        status: &Metadata,
        offset: &mut u64,
        digest: &mut Sha256,
    ) -> Result<Option<String>, FileError> {
        let Some(member) = self.member.as_mut() else { return Ok(None) };
        let looks = Looks {
            device: status.dev(),
            inode: status.ino(),
            size: status.len(),
            mtime: (status.mtime(), status.mtime_nsec()),
        };
        let opening = Opening { path, file, looks, offset: *offset, digest, room: self.room };
        let Some(mut shared) = member.meet(self.session, &opening) else { return Ok(None) };
        loop {
            let (reached, step) = shared.advance()?;
            self.moved(reached - *offset);
            *offset = reached;
            match step {
                Step::Whole(sum) => {
                    self.room = shared.room();
                    return Ok(Some(sum));
                }
                Step::Alone(so_far) => {
                    self.room = shared.room();
                    *digest = so_far;
                    return Ok(None);
                }
                Step::Wait(limit) => self.hear(&shared, limit)?,
            }
        }
    }

    /// Waits for news of the target, and takes in all that has come.
    fn hear(&mut self, shared: &Subscription, limit: Option<Duration>) -> Result<(), FileError> {
        let mut said = self.session.wait(limit)?;
        while let Some(Said::Op(word, fields)) = said {
            if let ("credit", [count]) = (word.as_str(), fields.as_slice()) {
                shared.credit(number(count)?);
            }
            said = self.session.try_next()?;
        }
        Ok(())
    }

    /// Agrees with the target on where to begin: after what it has, if that is what we have.
    fn begin(&mut self, file: &File, size: u64, digest: &mut Sha256) -> Result<u64, Trouble> {
        let (have, theirs) = loop {
            match self.session.next()? {
                Said::Op(word, fields) if word == "have" && fields.len() == 2 => {
                    break (number(&fields[0])?.min(size), bytes(&fields[1])?.clone());
                }
                Said::Op(word, fields) => self.credit(&word, &fields)?,
                Said::Data(_) => {}
            }
        };
        let read = digest_upto(file, have, digest)?;
        let mut offset = have;
        if read != have || hex(digest.clone()).as_bytes() != theirs {
            *digest = Sha256::new();
            offset = 0;
        }
        self.session.tell("from", vec![Value::from(offset)])?;
        Ok(offset)
    }

    fn credit(&mut self, word: &str, fields: &[Value]) -> Result<(), FileError> {
        if let ("credit", [count]) = (word, fields) {
            self.room += number(count)?;
        }
        Ok(())
    }

    /// Takes room for `count` bytes; waits until there is some.
    fn spend(&mut self, count: u64) -> Result<(), FileError> {
        loop {
            let said = match self.session.try_next()? {
                Some(said) => said,
                None if self.room >= count => break,
                None => self.session.next()?,
            };
            if let Said::Op(word, fields) = said {
                self.credit(&word, &fields)?;
            }
        }
        self.room -= count;
        Ok(())
    }
}

/// An error that may still need the path.
enum Trouble {
    Io(io::Error),
    Whole(FileError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        Self::Whole(error)
    }
}

impl Trouble {
    fn at(self, path: &Path) -> FileError {
        match self {
            Self::Io(error) => FileError::here(path, &error),
            Self::Whole(error) => error,
        }
    }
}

fn mode_of(status: &Metadata) -> Value {
    Value::Int((status.mode() & 0o7777).into())
}

/// Nanoseconds since the epoch.
fn mtime_of(status: &Metadata) -> Value {
    Value::Int(status.mtime().saturating_mul(1_000_000_000).saturating_add(status.mtime_nsec()))
}
