//! The side of a transfer that writes, on this host. Messages of the remote side are not trusted: at the top, only
//! names that were requested are written; below, a name is one path component; and only real directories are
//! entered, never links to them.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mitogen_core::pickle::Value;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Group, Uid, User, geteuid};
use sha2::{Digest, Sha256};

use super::directory::{Directory, is_directory};
use super::error::{FileError, FileErrorKind};
use super::options::TransferOptions;
use super::part::{Part, digest_prefix, hex, part_names};
use super::report::{Skipped, TransferProgress, TransferReport};
use super::requested::{Admission, Requested};
use super::session::{CREDIT, ENTRY_COST, Incoming, Session, bytes, number};

/// Blocks of this size that contain only zeros are not written, so that a sparse file stays one.
const HOLE: usize = 4096;

/// A directory on the way to the current one.
struct Level {
    directory: Rc<Directory>,
    /// Mode and modification time to set at its end; none if it existed before, since it then keeps its own.
    attributes: Option<(u32, i64)>,
}

/// Where an entry is written.
struct Place {
    directory: Rc<Directory>,
    name: OsString,
}

impl Place {
    fn path(&self) -> PathBuf {
        self.directory.path_of(&self.name)
    }

    fn failed(&self) -> impl Fn(io::Error) -> FileError {
        failed(&self.path())
    }

    fn refuse_directory(&self) -> Result<(), FileError> {
        match self.directory.look(&self.name).map_err(self.failed())? {
            Some(status) if is_directory(&status) => Err(self.failed()(Errno::EISDIR.into())),
            _ => Ok(()),
        }
    }

    /// The file that is in place, if it has this size and may be given the attributes of the source.
    fn candidate(&self, size: u64) -> Option<File> {
        let file = self.directory.open_file(&self.name, OFlag::O_RDONLY, Mode::empty()).ok()?;
        let status = file.metadata().ok()?;
        let own = geteuid().is_root() || status.uid() == geteuid().as_raw();
        (status.is_file() && status.len() == size && status.nlink() == 1 && own).then_some(file)
    }
}

/// The destination of a transfer.
pub(super) struct Target<'a> {
    /// The destination, or the directory that it is in.
    root: Rc<Directory>,
    /// The name of the destination in `root`; none if entries are placed in `root`, with their own names.
    name: Option<OsString>,
    requested: Requested,
    /// How many entries were placed in `root`.
    placed: usize,
    options: &'a TransferOptions,
    owner: Option<(Option<Uid>, Option<Gid>)>,
    stack: Vec<Level>,
    unacked: u64,
    report: TransferReport,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |error| FileError::local(&path, &error)
}

impl<'a> Target<'a> {
    pub(super) fn new(
        dest: &Path,
        sources: &[Vec<u8>],
        into: bool,
        options: &'a TransferOptions,
    ) -> Result<Self, FileError> {
        let (root, name) = if dest.is_dir() {
            (dest, None)
        } else if into {
            let number = if dest.symlink_metadata().is_ok() { Errno::ENOTDIR } else { Errno::ENOENT };
            return Err(FileError::local(dest, &number.into()));
        } else {
            let name = dest.file_name().ok_or_else(|| FileError::local(dest, &Errno::ENOENT.into()))?;
            (dest.parent().unwrap_or(Path::new("")), Some(name.to_owned()))
        };
        let owner = options.owner.as_deref().map(owner_of).transpose()?;
        Ok(Self {
            root: Rc::new(Directory::open(root).map_err(failed(dest))?),
            name,
            requested: Requested::new(sources),
            placed: 0,
            options,
            owner,
            stack: Vec::new(),
            unacked: 0,
            report: TransferReport::default(),
        })
    }

    /// Writes what the remote side sends.
    pub(super) fn receive(
        &mut self,
        session: &mut Session,
        progress: &mut dyn FnMut(&TransferProgress),
    ) -> Result<TransferReport, FileError> {
        loop {
            let Incoming::Op(name, fields) = session.next()? else {
                return Err(FileError::Protocol("contents outside of a file".to_owned()));
            };
            match (name.as_str(), fields.as_slice()) {
                ("finish", []) => {
                    if !self.stack.is_empty() {
                        return Err(FileError::Protocol("the end within a directory".to_owned()));
                    }
                    session.send_op("finished", Vec::new())?;
                    session.finish();
                    return Ok(std::mem::take(&mut self.report));
                }
                ("total", [files, all]) => {
                    self.report.progress.total_files = number(files)?;
                    self.report.progress.total_bytes = number(all)?;
                    progress(&self.report.progress);
                    continue;
                }
                ("skip", [path, _, text]) => self.report.skipped.push(Skipped {
                    path: String::from_utf8_lossy(bytes(path)?).into_owned(),
                    reason: text.as_str().unwrap_or_default().to_owned(),
                }),
                ("dir", [name, mode, mtime]) => self.enter(bytes(name)?, mode, mtime)?,
                ("up", []) => self.leave()?,
                ("link", [name, to]) => self.link(bytes(name)?, bytes(to)?)?,
                ("file", [name, size, mode, mtime, resume]) => {
                    let file = Announced {
                        place: self.place(bytes(name)?)?,
                        size: number(size)?,
                        mode: mode_of(mode)?,
                        mtime: mtime.as_i64().unwrap_or(0),
                        resume: resume.as_bool().unwrap_or(false),
                    };
                    self.file(session, &file, progress)?;
                }
                _ => {
                    let count = fields.len();
                    return Err(FileError::Protocol(format!(
                        "unknown operation {name:?} with {count} fields"
                    )));
                }
            }
            self.unacked += ENTRY_COST;
            self.acknowledge(session)?;
            progress(&self.report.progress);
        }
    }

    /// Lets the source send more, in portions.
    fn acknowledge(&mut self, session: &Session) -> Result<(), FileError> {
        if self.unacked < CREDIT {
            return Ok(());
        }
        session.send_op("credit", vec![Value::from(std::mem::take(&mut self.unacked))])
    }

    fn place(&mut self, name: &[u8]) -> Result<Place, FileError> {
        let text = String::from_utf8_lossy(name);
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
            return Err(FileError::Protocol(format!("invalid file name {text:?}")));
        }
        let own_name = || OsStr::from_bytes(name).to_owned();
        if let Some(level) = self.stack.last() {
            return Ok(Place { directory: Rc::clone(&level.directory), name: own_name() });
        }
        let Some(admission) = self.requested.admit(name) else {
            return Err(FileError::Protocol(format!("the source sent {text:?}, which was not requested")));
        };
        let place =
            Place { directory: Rc::clone(&self.root), name: self.name.clone().unwrap_or_else(own_name) };
        if self.name.is_some() && self.placed > 0 {
            // A pattern matched several files.
            return Err(place.failed()(Errno::ENOTDIR.into()));
        }
        let exists = || place.directory.look(&place.name).map_err(place.failed());
        if self.name.is_none() && admission == Admission::Chosen && exists()?.is_some() {
            let text = "exists already, and the source has chosen the name: request it by name";
            return Err(place.failed()(io::Error::other(text)));
        }
        self.placed += 1;
        Ok(place)
    }

    fn enter(&mut self, name: &[u8], mode: &Value, mtime: &Value) -> Result<(), FileError> {
        let place = self.place(name)?;
        let failed = place.failed();
        let attributes = match place.directory.look(&place.name).map_err(&failed)? {
            Some(status) if is_directory(&status) => None,
            Some(_) => return Err(failed(Errno::ENOTDIR.into())),
            None => {
                match place.directory.create(&place.name) {
                    Ok(()) => Some((mode_of(mode)?, mtime.as_i64().unwrap_or(0))),
                    // Another transfer has made it in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        let directory = place.directory.enter(&place.name).map_err(&failed)?;
        if attributes.is_some() {
            self.set_owner(directory.handle()).map_err(&failed)?;
        }
        self.stack.push(Level { directory: Rc::new(directory), attributes });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), FileError> {
        let Some(Level { directory, attributes }) = self.stack.pop() else {
            return Err(FileError::Protocol("`up` without a directory".to_owned()));
        };
        if let Some((mode, mtime)) = attributes {
            let handle = directory.handle();
            // Without the sticky bit, a directory that all may write to would be open to more than at the source.
            let apply = || {
                handle.set_permissions(Permissions::from_mode(mode & 0o3777))?;
                handle.set_modified(time_of(mtime))
            };
            apply().map_err(failed(directory.path()))?;
        }
        Ok(())
    }

    /// Gives a new file or directory to the requested owner.
    fn set_owner(&self, file: &File) -> io::Result<()> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        std::os::unix::fs::fchown(file, user.map(Uid::as_raw), group.map(Gid::as_raw))
    }

    fn link(&mut self, name: &[u8], to: &[u8]) -> Result<(), FileError> {
        if self.stack.is_empty() {
            // A later transfer would follow it as its destination. Sources that are links are read, not copied.
            let name = String::from_utf8_lossy(name);
            return Err(FileError::Protocol(format!("a link in place of the requested {name:?}")));
        }
        let place = self.place(name)?;
        place.refuse_directory()?;
        let Place { directory, name } = &place;
        let mut names = part_names(name);
        let part = loop {
            let part = names.next().ok_or_else(|| place.failed()(Errno::EEXIST.into()))?;
            match directory.symlink(&part, to) {
                Ok(()) => break part,
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(place.failed()(error.into())),
            }
        };
        let owned = self.owner.map_or(Ok(()), |(user, group)| directory.set_owner(&part, user, group));
        owned.and_then(|()| directory.rename(&part, name)).map_err(|error| {
            directory.remove(&part);
            place.failed()(error)
        })
    }

    fn file(
        &mut self,
        session: &mut Session,
        announced: &Announced,
        progress: &mut dyn FnMut(&TransferProgress),
    ) -> Result<(), FileError> {
        let place = &announced.place;
        place.refuse_directory()?;
        let part = Part::open(&place.directory, &place.name, !announced.resume).map_err(place.failed())?;
        let mut keep = announced.resume;
        let filled = self.fill(session, announced, &part, &mut keep, progress);
        let outcome = filled.and_then(|in_place| {
            // With other attributes than a part's, it would not be found again.
            keep = false;
            self.set_attributes(announced, in_place.as_ref().unwrap_or(&part)).map_err(place.failed())?;
            match in_place {
                Some(_) => {
                    part.discard(&place.directory);
                    self.report.progress.unchanged += 1;
                    Ok(())
                }
                None => part.put_in_place(&place.directory, &place.name).map_err(place.failed()),
            }
        });
        if let Err(error) = &outcome {
            // A full disk is not left full, even if the part could be continued.
            if !keep || error.kind() == Some(FileErrorKind::NoSpace) {
                part.discard(&place.directory);
            }
            return outcome;
        }
        self.report.progress.files += 1;
        Ok(())
    }

    /// Receives the contents into the part. Returns the file that is in place if its contents are the same.
    fn fill(
        &mut self,
        session: &mut Session,
        announced: &Announced,
        part: &Part,
        keep: &mut bool,
        progress: &mut dyn FnMut(&TransferProgress),
    ) -> Result<Option<File>, FileError> {
        let failed = announced.place.failed();
        let mut digest = Sha256::new();
        let mut offset = 0;
        let mut in_place = None;
        if announced.resume {
            let have = part.metadata().map_err(&failed)?.len();
            let have = if have <= announced.size { have } else { 0 };
            let mut have = digest_prefix(part, have, &mut digest).map_err(&failed)?;
            if have == 0 && announced.size > 0 {
                in_place = announced.place.candidate(announced.size).and_then(|file| {
                    let modified = file.metadata().and_then(|status| status.modified()).ok()?;
                    Some((file, modified))
                });
            }
            if let Some((file, _)) = &in_place {
                // A digest of its own: the part must not continue another file.
                let mut of_file = Sha256::new();
                if digest_prefix(file, announced.size, &mut of_file).is_ok_and(|read| read == announced.size)
                {
                    (have, digest) = (announced.size, of_file);
                } else {
                    in_place = None;
                }
            }
            let sum = hex(digest.clone());
            let fields =
                vec![Value::from(have), Value::from(sum.as_bytes()), Value::Bool(in_place.is_some())];
            session.send_op("have", fields)?;
            match session.next()? {
                Incoming::Op(name, fields) if name == "from" && fields.len() == 1 => {
                    offset = number(&fields[0])?;
                }
                other => return Err(FileError::Protocol(format!("expected an offset, found {other:?}"))),
            }
            if offset != have {
                offset = 0;
                digest = Sha256::new();
            }
            if offset != announced.size {
                in_place = None;
            }
        }
        if in_place.is_none() {
            part.set_len(offset).map_err(&failed)?;
        }
        self.report.progress.bytes += offset;
        self.report.progress.resumed += offset;
        let remote_sum = loop {
            match session.next()? {
                Incoming::Data(data) => {
                    let count = data.len() as u64;
                    if count > announced.size - offset {
                        *keep = false;
                        return Err(failed(io::Error::other("the source sent more than the announced size")));
                    }
                    digest.update(&data);
                    write_sparse(part, offset, &data).map_err(&failed)?;
                    self.unacked += count;
                    offset += count;
                    self.report.progress.bytes += count;
                    progress(&self.report.progress);
                    self.acknowledge(session)?;
                }
                Incoming::Op(name, fields) if name == "end" && fields.len() == 1 => {
                    break bytes(&fields[0])?.clone();
                }
                Incoming::Op(name, _) if name == "changed" => {
                    *keep = false;
                    // The error that follows names the file.
                    session.next()?;
                    return Err(FileError::Protocol("`changed` without an error".to_owned()));
                }
                Incoming::Op(name, _) => {
                    return Err(FileError::Protocol(format!("operation {name:?} within a file")));
                }
            }
        };
        if hex(digest).as_bytes() != remote_sum || offset != announced.size {
            *keep = false;
            let text = "checksum mismatch: the received contents differ from the source";
            return Err(failed(io::Error::other(text)));
        }
        if in_place.is_none() {
            // A hole at the end was not written.
            part.set_len(offset).map_err(&failed)?;
        }
        let Some((file, modified)) = in_place else { return Ok(None) };
        let place = &announced.place;
        let status = file.metadata().map_err(&failed)?;
        let is_same = status.len() == announced.size
            && status.modified().map_err(&failed)? == modified
            && place.directory.is(&place.name, &file);
        if is_same {
            Ok(Some(file))
        } else {
            Err(failed(io::Error::other("it was changed by another program during the transfer")))
        }
    }

    /// Sets owner, mode and modification time of a complete file.
    fn set_attributes(&self, announced: &Announced, file: &File) -> io::Result<()> {
        // The owner first: a change of it clears set-ID bits that were requested.
        self.set_owner(file)?;
        let mode = self.options.mode.unwrap_or(announced.mode & 0o777);
        file.set_permissions(Permissions::from_mode(mode))?;
        file.set_modified(time_of(announced.mtime))?;
        if self.options.sync { file.sync_all() } else { Ok(()) }
    }
}

/// Writes `data` at `offset`, except for blocks of zeros: the part ends there or has a hole.
fn write_sparse(file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
    let is_hole = |block: &[u8]| block.iter().all(|byte| *byte == 0);
    let mut start = 0;
    while start < data.len() {
        let first = is_hole(&data[start..data.len().min(start + HOLE)]);
        let mut end = data.len().min(start + HOLE);
        while end < data.len() && is_hole(&data[end..data.len().min(end + HOLE)]) == first {
            end = data.len().min(end + HOLE);
        }
        if !first {
            file.write_all_at(&data[start..end], offset + start as u64)?;
        }
        start = end;
    }
    Ok(())
}

/// A file that the remote side is about to send.
struct Announced {
    place: Place,
    size: u64,
    mode: u32,
    mtime: i64,
    /// Whether the source waits to be told how much of it is there already.
    resume: bool,
}

fn mode_of(field: &Value) -> Result<u32, FileError> {
    Ok(u32::try_from(number(field)?).unwrap_or(0) & 0o7777)
}

fn time_of(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if nanoseconds < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    time.unwrap_or(epoch)
}

/// The user and group of `user[:group]`, by name or number.
fn owner_of(text: &str) -> Result<(Option<Uid>, Option<Gid>), FileError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let unknown = || FileError::local(Path::new(text), &io::Error::other("no such user or group"));
    let found = |name: &str| User::from_name(name).ok().flatten().ok_or_else(unknown);
    let (uid, own_group) = match user.parse() {
        Ok(number) => (Some(Uid::from_raw(number)), None),
        Err(_) if user.is_empty() => (None, None),
        Err(_) => found(user).map(|user| (Some(user.uid), Some(user.gid)))?,
    };
    let gid = match group {
        None => None,
        Some("") => own_group,
        Some(group) => Some(match group.parse() {
            Ok(number) => Gid::from_raw(number),
            Err(_) => Group::from_name(group).ok().flatten().ok_or_else(unknown)?.gid,
        }),
    };
    Ok((uid, gid))
}
