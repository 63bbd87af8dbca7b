//! The end that writes, here. What the far end says is not trusted: names are one component each,
//! and directories are entered only if they are directories and no links.

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

use super::error::FileError;
use super::part::{digest_upto, hex, open_part, part_of};
use super::session::{Said, Session, bytes, number};
use super::{CREDIT, Options, Progress, Report, Skipped};

struct Directory {
    path: PathBuf,
    /// None if it was here before: how it looks is then not ours to change.
    looks: Option<(u32, i64)>,
}

/// Where files go.
pub(super) struct Target<'a> {
    dest: PathBuf,
    /// Whether they go into `dest`.
    inside: bool,
    options: &'a Options,
    owner: Option<(Option<Uid>, Option<Gid>)>,
    stack: Vec<Directory>,
    unacked: u64,
    report: Report,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FileError {
    move |error| FileError::here(path, &error)
}

fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

impl<'a> Target<'a> {
    pub(super) fn new(dest: &Path, into: bool, options: &'a Options) -> Result<Self, FileError> {
        let inside = dest.is_dir();
        if into && !inside {
            let number = if dest.symlink_metadata().is_ok() { Errno::ENOTDIR } else { Errno::ENOENT };
            return Err(FileError::here(dest, &errno(number)));
        }
        let owner = options.owner.as_deref().map(owner_of).transpose()?;
        Ok(Self {
            dest: dest.to_owned(),
            inside,
            options,
            owner,
            stack: Vec::new(),
            unacked: 0,
            report: Report::default(),
        })
    }

    /// Writes all that comes.
    pub(super) fn receive(
        &mut self,
        session: &mut Session,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Report, FileError> {
        loop {
            let Said::Op(word, fields) = session.next()? else {
                return Err(FileError::Protocol("contents of no file".to_owned()));
            };
            match (word.as_str(), fields.as_slice()) {
                ("finish", []) => {
                    session.tell("finished", Vec::new())?;
                    session.finished();
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
                ("file", [name, size, mode, mtime, ask]) => {
                    let file = Incoming {
                        path: self.place(bytes(name)?)?,
                        size: number(size)?,
                        mode: mode_of(mode)?,
                        mtime: mtime.as_i64().unwrap_or(0),
                        ask: ask.as_bool().unwrap_or(false),
                    };
                    self.file(session, &file, progress)?;
                }
                _ => return Err(FileError::Protocol(format!("{word:?} with {} fields", fields.len()))),
            }
            progress(&self.report.progress);
        }
    }

    fn place(&self, name: &[u8]) -> Result<PathBuf, FileError> {
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
            return Err(FileError::Protocol(format!("{:?} is no name", String::from_utf8_lossy(name))));
        }
        Ok(match self.stack.last() {
            Some(directory) => directory.path.join(OsStr::from_bytes(name)),
            None if self.inside => self.dest.join(OsStr::from_bytes(name)),
            None => self.dest.clone(),
        })
    }

    fn enter(&mut self, name: &[u8], mode: &Value, mtime: &Value) -> Result<(), FileError> {
        let path = self.place(name)?;
        let looks = match path.symlink_metadata() {
            Ok(status) if status.is_dir() => None,
            Ok(_) => return Err(FileError::here(&path, &errno(Errno::ENOTDIR))),
            Err(_) => {
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed(&path))?;
                self.give(&path)?;
                Some((mode_of(mode)?, mtime.as_i64().unwrap_or(0)))
            }
        };
        self.stack.push(Directory { path, looks });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), FileError> {
        let Some(Directory { path, looks }) = self.stack.pop() else {
            return Err(FileError::Protocol("it leaves where it never entered".to_owned()));
        };
        if let Some((mode, mtime)) = looks {
            let settle = || {
                fs::set_permissions(&path, Permissions::from_mode(mode & 0o777))?;
                File::open(&path).and_then(|directory| directory.set_modified(time_of(mtime)))
            };
            settle().map_err(failed(&path))?;
        }
        Ok(())
    }

    /// Gives what was just made to the owner that was asked for.
    fn give(&self, path: &Path) -> Result<(), FileError> {
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
        self.give(&part).and_then(|()| fs::rename(&part, &path).map_err(failed(&path))).inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
    }

    fn file(
        &mut self,
        session: &mut Session,
        incoming: &Incoming,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), FileError> {
        refuse_directory(&incoming.path)?;
        let part = part_of(&incoming.path);
        let mut file = open_part(&part, !incoming.ask).map_err(failed(&incoming.path))?;
        let mut keep = incoming.ask;
        let outcome = self.fill(session, incoming, &mut file, &mut keep, progress);
        let outcome = outcome
            .and_then(|()| self.settle(incoming, &file, &part))
            .and_then(|()| fs::rename(&part, &incoming.path).map_err(failed(&incoming.path)));
        if let Err(error) = &outcome {
            // A full disk is not left full.
            if !keep || error.kind() == Some(super::FileErrorKind::NoSpace) {
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
        incoming: &Incoming,
        file: &mut File,
        keep: &mut bool,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), FileError> {
        let failed = failed(&incoming.path);
        let mut digest = Sha256::new();
        let mut offset = 0;
        if incoming.ask {
            let have = file.metadata().map_err(&failed)?.len();
            let have = if have <= incoming.size { have } else { 0 };
            let have = digest_upto(file, have, &mut digest).map_err(&failed)?;
            let ours = hex(digest.clone());
            session.tell("have", vec![Value::from(have), Value::from(ours.as_bytes())])?;
            match session.next()? {
                Said::Op(word, fields) if word == "from" && fields.len() == 1 => offset = number(&fields[0])?,
                other => return Err(FileError::Protocol(format!("{other:?} instead of where to begin"))),
            }
            if offset != have {
                offset = 0;
                digest = Sha256::new();
            }
        }
        file.set_len(offset).and_then(|()| file.seek(SeekFrom::Start(offset))).map_err(&failed)?;
        self.report.progress.bytes += offset;
        self.report.progress.resumed += offset;
        let theirs = loop {
            match session.next()? {
                Said::Data(data) => {
                    digest.update(&data);
                    file.write_all(&data).map_err(&failed)?;
                    self.unacked += data.len() as u64;
                    offset += data.len() as u64;
                    self.report.progress.bytes += data.len() as u64;
                    progress(&self.report.progress);
                }
                Said::Op(word, fields) if word == "end" && fields.len() == 1 => {
                    break bytes(&fields[0])?.clone();
                }
                Said::Op(word, _) if word == "changed" => {
                    *keep = false;
                    // The other end says which file it was.
                    session.next()?;
                    return Err(FileError::Protocol("a changed file without a complaint".to_owned()));
                }
                Said::Op(word, _) => return Err(FileError::Protocol(format!("{word:?} within a file"))),
            }
            if self.unacked >= CREDIT {
                session.tell("credit", vec![Value::from(std::mem::take(&mut self.unacked))])?;
            }
        };
        if hex(digest).as_bytes() != theirs || offset != incoming.size {
            *keep = false;
            let text = "the checksum is wrong; what arrived is not what was sent";
            return Err(FileError::here(&incoming.path, &io::Error::other(text)));
        }
        Ok(())
    }

    /// All but the name: owner, mode, time.
    fn settle(&self, incoming: &Incoming, file: &File, part: &Path) -> Result<(), FileError> {
        self.give(part).map_err(|error| match error {
            FileError::Here { kind, text, .. } => {
                FileError::Here { kind, path: incoming.path.display().to_string(), text }
            }
            other => other,
        })?;
        let mode = self.options.mode.unwrap_or(incoming.mode & 0o777);
        let settle = || {
            file.set_permissions(Permissions::from_mode(mode))?;
            file.set_modified(time_of(incoming.mtime))?;
            if self.options.sync { file.sync_all() } else { Ok(()) }
        };
        settle().map_err(failed(&incoming.path))
    }
}

/// A file that was announced.
struct Incoming {
    path: PathBuf,
    size: u64,
    mode: u32,
    mtime: i64,
    ask: bool,
}

fn refuse_directory(path: &Path) -> Result<(), FileError> {
    match path.symlink_metadata() {
        Ok(status) if status.is_dir() => Err(FileError::here(path, &errno(Errno::EISDIR))),
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
    let unknown = || FileError::here(Path::new(text), &io::Error::other("there is no such user or group"));
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
