//! Files to contexts and back: streamed, checked, resumed, and put in place whole.
//!
//! The far half is the runtime's module `mitogen.files`, whose head lists the messages. Both ends
//! are a source or a target; which is which is all that differs between [`put`] and [`get`]. What
//! blocks here is the caller's thread: no file is ever read or written on the broker's.
//!
//! A target writes to `.NAME.mitogen-part` beside the file's place and moves it there when its
//! SHA-256 is right, so nobody ever sees half a file under its own name. A part that a broken
//! transfer has left is gone on with if the source's beginning still has the same SHA-256.

mod broadcast;
mod error;
mod group;
mod part;
mod push;
mod service;
mod session;
mod source;
mod target;

use std::time::Duration;

use mitogen_core::call::Context;
use mitogen_core::pickle::Value;

pub use error::{FileError, FileErrorKind};
pub use group::{Distribution, Member};
pub use push::{PUSH_FILE_SERVICE, PushFileService};
pub use service::{FILE_SERVICE, FileService};
use session::Session;
pub use source::Sources;

/// Bytes of contents in one message: few messages, and others on the same link need not wait long.
const CHUNK: usize = 256 << 10;
/// Bytes of contents that may be under way: enough for a fast link with a long round trip.
const WINDOW: u64 = 4 << 20;
/// A target gives room back in portions of this size.
const CREDIT: u64 = 512 << 10;
/// Files smaller than this are sent again rather than asked about.
const WORTH_RESUMING: u64 = 1 << 20;
/// How long others are held up by a target that takes nothing, or does not come.
const STALL: Duration = Duration::from_secs(3);

/// How files are put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Permissions of files, instead of the source's.
    pub mode: Option<u32>,
    /// `user[:group]`, by name or number; the target must be allowed to give files away.
    pub owner: Option<String>,
    /// Whether a part that is there is gone on with, and one that does not get whole is kept.
    pub resume: bool,
    /// Whether files are on the disk before they are in place.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { mode: None, owner: None, resume: true, sync: false }
    }
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that are in place.
    pub files: u64,
    /// All files, as far as known.
    pub total_files: u64,
    /// Bytes of contents dealt with, those found at the target included.
    pub bytes: u64,
    /// Bytes of all files, as far as known.
    pub total_bytes: u64,
    /// Bytes that were found at the target and not sent again.
    pub resumed: u64,
}

/// What has become of a transfer that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How much it was.
    pub progress: Progress,
    /// What could not be read and was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Copies `sources` to `dest` in `context`, directories with all that is in them.
///
/// As with `cp`, they go into `dest` if it is a directory, which it must be for several sources or
/// if it ends with a slash; else the one source takes that name. A relative `dest` is looked up in
/// the context's current directory. Symbolic links below a source stay links.
///
/// # Errors
/// See [`FileError`]. Files that were in place before the error stay.
pub fn put(
    context: &Context,
    sources: &Sources,
    dest: &[u8],
    options: &Options,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, FileError> {
    let mut session = open_put(context, sources, dest, options)?;
    source::send(&mut session, sources, options, None, &mut progress)
}

/// [`put`] to several contexts at once. What lies behind the same neighbour gets its contents together,
/// so that each file crosses each shared link once ([`Distribution`]). `progress` is told the place of
/// the context in `contexts`. The outcomes are in the order of `contexts`.
pub fn put_all(
    contexts: &[Context],
    sources: &Sources,
    dest: &[u8],
    options: &Options,
    progress: impl Fn(usize, &Progress) + Sync,
) -> Vec<Result<Report, FileError>> {
    let all = Distribution::new(sources, options);
    let members: Vec<Member> = contexts.iter().map(|context| all.join(context)).collect();
    let progress = &progress;
    std::thread::scope(|scope| {
        let work = |(place, member): (usize, Member)| {
            scope.spawn(move || member.put(dest, |moved| progress(place, moved)))
        };
        let threads: Vec<_> = members.into_iter().enumerate().map(work).collect();
        let panicked = |_| Err(FileError::Protocol("the thread of a transfer has panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}

fn open_put(
    context: &Context,
    sources: &Sources,
    dest: &[u8],
    options: &Options,
) -> Result<Session, FileError> {
    let into = sources.paths().count() > 1 || dest.ends_with(b"/");
    let args = vec![Value::from(dest), Value::Bool(into)];
    Session::open(context, "put", args, far_options(options))
}

/// Copies `sources`, paths in `context`, to `dest` here; the rules are those of [`put`].
///
/// # Errors
/// See [`FileError`]. Files that were in place before the error stay.
pub fn get(
    context: &Context,
    sources: &[Vec<u8>],
    dest: &std::path::Path,
    options: &Options,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, FileError> {
    use std::os::unix::ffi::OsStrExt as _;
    let into = sources.len() > 1 || dest.as_os_str().as_bytes().ends_with(b"/");
    let mut target = target::Target::new(dest, into, options)?;
    let paths = sources.iter().map(|path| Value::from(path.as_slice())).collect();
    let mut session = Session::open(context, "get", vec![Value::List(paths)], far_options(options))?;
    target.receive(&mut session, &mut progress)
}

/// What the far end has to know.
fn far_options(options: &Options) -> Value {
    let number = |number: u64| Value::Int(number.cast_signed());
    Value::Dict(vec![
        (Value::from("mode"), options.mode.map_or(Value::None, |mode| Value::Int(mode.into()))),
        (Value::from("owner"), options.owner.as_deref().map_or(Value::None, Value::from)),
        (Value::from("resume"), Value::Bool(options.resume)),
        (Value::from("sync"), Value::Bool(options.sync)),
        (Value::from("window"), number(WINDOW)),
        (Value::from("credit"), number(CREDIT)),
        (Value::from("worth"), number(WORTH_RESUMING)),
    ])
}
