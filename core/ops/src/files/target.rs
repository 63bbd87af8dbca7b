//! The side of a transfer that writes, on this host. Messages of the remote side are not trusted: a name is one
//! path component, and only real directories are entered, never links to them.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mitogen_core::pickle::Value;
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};
use sha2::{Digest, Sha256};

use super::error::{FileError, FileErrorKind};
use super::options::TransferOptions;
use super::part::{digest_prefix, hex, open_part, part_of};
use super::report::{Skipped, TransferProgress, TransferReport};
use super::session::{CREDIT, Incoming, Session, bytes, number};

struct Directory {
    path: PathBuf,
    /// Mode and modification time to set at its end; none if it existed before, since it then keeps its own.
    attributes: Option<(u32, i64)>,
}

/// The destination of a transfer.
pub(super) struct Target<'a> {
    dest: PathBuf,
    /// Whether files are placed in `dest` rather than at it.
    inside: bool,
    options: &'a TransferOptions,
    owner: Option<(Option<Uid>, Option<Gid>)>,
    stack: Vec<Directory>,
    unacked: u64,
    report: TransferReport,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FileError {
    move |error| FileError::local(path, &error)
}

fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

impl<'a> Target<'a> {
    pub(super) fn new(dest: &Path, into: bool, options: &'a TransferOptions) -> Result<Self, FileError> {
        let inside = dest.is_dir();
        if into && !inside {
            let number = if dest.symlink_metadata().is_ok() { Errno::ENOTDIR } else { Errno::ENOENT };
            return Err(FileError::local(dest, &errno(number)));
        }
        let owner = options.owner.as_deref().map(owner_of).transpose()?;
        Ok(Self {
            dest: dest.to_owned(),
            inside,
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
                    session.send_op("finished", Vec::new())?;
                    session.finish();
                    return Ok(std::mem::take(&mut self.report));
                }
                ("total", [files, all]) => {
                    self.report.progress.total_files = number(files)?;
                    self.report.progress.total_bytes = number(all)?;
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
                        path: self.place(bytes(name)?)?,
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
            progress(&self.report.progress);
        }
    }

    fn place(&self, name: &[u8]) -> Result<PathBuf, FileError> {
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
            return Err(FileError::Protocol(format!(
                "invalid file name {:?}",
                String::from_utf8_lossy(name)
            )));
        }
        Ok(match self.stack.last() {
            Some(directory) => directory.path.join(OsStr::from_bytes(name)),
            None if self.inside => self.dest.join(OsStr::from_bytes(name)),
            None => self.dest.clone(),
        })
    }

    fn enter(&mut self, name: &[u8], mode: &Value, mtime: &Value) -> Result<(), FileError> {
        let path = self.place(name)?;
        let attributes = match path.symlink_metadata() {
            Ok(status) if status.is_dir() => None,
            Ok(_) => return Err(FileError::local(&path, &errno(Errno::ENOTDIR))),
            Err(_) => {
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed(&path))?;
                self.set_owner(&path)?;
                Some((mode_of(mode)?, mtime.as_i64().unwrap_or(0)))
            }
        };
        self.stack.push(Directory { path, attributes });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), FileError> {
        let Some(Directory { path, attributes }) = self.stack.pop() else {
            return Err(FileError::Protocol("`up` without a directory".to_owned()));
        };
        if let Some((mode, mtime)) = attributes {
            let apply = || {
                fs::set_permissions(&path, Permissions::from_mode(mode & 0o777))?;
                File::open(&path).and_then(|directory| directory.set_modified(time_of(mtime)))
            };
            apply().map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Gives a new file or directory to the requested owner.
    fn set_owner(&self, path: &Path) -> Result<(), FileError> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        let (user, group) = (user.map(Uid::as_raw), group.map(Gid::as_raw));
        std::os::unix::fs::lchown(path, user, group).map_err(failed(path))
    }

    fn link(&self, name: &[u8], to: &[u8]) -> Result<(), FileError> {
        let path = self.place(name)?;
        refuse_directory(&path)?;
        let part = part_of(&path);
        let make = || {
            match fs::remove_file(&part) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(OsStr::from_bytes(to), &part)
        };
        make().map_err(failed(&path))?;
        self.set_owner(&part).and_then(|()| fs::rename(&part, &path).map_err(failed(&path))).inspect_err(
            |_| {
                let _ = fs::remove_file(&part);
            },
        )
    }

    fn file(
        &mut self,
        session: &mut Session,
        announced: &Announced,
        progress: &mut dyn FnMut(&TransferProgress),
    ) -> Result<(), FileError> {
        refuse_directory(&announced.path)?;
        let part = part_of(&announced.path);
        let mut file = open_part(&part, !announced.resume).map_err(failed(&announced.path))?;
        let mut keep = announced.resume;
        let outcome = self.fill(session, announced, &mut file, &mut keep, progress);
        let outcome = outcome
            .and_then(|()| self.set_attributes(announced, &file, &part))
            .and_then(|()| fs::rename(&part, &announced.path).map_err(failed(&announced.path)));
        if let Err(error) = &outcome {
            // A full disk is not left full, even if the part could be continued.
            if !keep || error.kind() == Some(FileErrorKind::NoSpace) {
                let _ = fs::remove_file(&part);
            }
            return outcome;
        }
        self.report.progress.files += 1;
        Ok(())
    }

    fn fill(
        &mut self,
        session: &mut Session,
        announced: &Announced,
        file: &mut File,
        keep: &mut bool,
        progress: &mut dyn FnMut(&TransferProgress),
    ) -> Result<(), FileError> {
        let failed = failed(&announced.path);
        let mut digest = Sha256::new();
        let mut offset = 0;
        if announced.resume {
            let have = file.metadata().map_err(&failed)?.len();
            let have = if have <= announced.size { have } else { 0 };
            let have = digest_prefix(file, have, &mut digest).map_err(&failed)?;
            let sum = hex(digest.clone());
            session.send_op("have", vec![Value::from(have), Value::from(sum.as_bytes())])?;
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
        }
        file.set_len(offset).and_then(|()| file.seek(SeekFrom::Start(offset))).map_err(&failed)?;
        self.report.progress.bytes += offset;
        self.report.progress.resumed += offset;
        let remote_sum = loop {
            match session.next()? {
                Incoming::Data(data) => {
                    digest.update(&data);
                    file.write_all(&data).map_err(&failed)?;
                    self.unacked += data.len() as u64;
                    offset += data.len() as u64;
                    self.report.progress.bytes += data.len() as u64;
                    progress(&self.report.progress);
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
            if self.unacked >= CREDIT {
                session.send_op("credit", vec![Value::from(std::mem::take(&mut self.unacked))])?;
            }
        };
        if hex(digest).as_bytes() != remote_sum || offset != announced.size {
            *keep = false;
            let text = "checksum mismatch: the received contents differ from the source";
            return Err(FileError::local(&announced.path, &io::Error::other(text)));
        }
        Ok(())
    }

    /// Sets owner, mode and modification time of a complete part.
    fn set_attributes(&self, announced: &Announced, file: &File, part: &Path) -> Result<(), FileError> {
        self.set_owner(part).map_err(|error| match error {
            FileError::Local { kind, text, .. } => {
                FileError::Local { kind, path: announced.path.display().to_string(), text }
            }
            other => other,
        })?;
        let mode = self.options.mode.unwrap_or(announced.mode & 0o777);
        let apply = || {
            file.set_permissions(Permissions::from_mode(mode))?;
            file.set_modified(time_of(announced.mtime))?;
            if self.options.sync { file.sync_all() } else { Ok(()) }
        };
        apply().map_err(failed(&announced.path))
    }
}

/// A file that the remote side is about to send.
struct Announced {
    path: PathBuf,
    size: u64,
    mode: u32,
    mtime: i64,
    /// Whether the source waits to be told how much of it is there already.
    resume: bool,
}

fn refuse_directory(path: &Path) -> Result<(), FileError> {
    match path.symlink_metadata() {
        Ok(status) if status.is_dir() => Err(FileError::local(path, &errno(Errno::EISDIR))),
        _ => Ok(()),
    }
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
