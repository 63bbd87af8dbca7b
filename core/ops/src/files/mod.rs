//! Copying files to contexts and back: streamed, verified, resumable, and put in place atomically.
//!
//! A transfer has a source and a target. [`put`] reads here and writes in the context, [`get`] is the
//! opposite; the remote side of both is the runtime's module `mitogen.files`, whose header lists the
//! messages. Files are read and written on the thread of the caller, never on the broker's.
//!
//! The target writes to `.NAME.mitogen-part` beside the destination and renames that to the destination
//! when the SHA-256 of the whole is right, so a half-written file never appears under the real name. A
//! part that an interrupted transfer left behind is continued if the source still begins with the same
//! bytes. A part belongs to one transfer; another one to the same name uses `.NAME.1.mitogen-part` and so on.
//! A large file that is in place with the same contents is not sent.
//!
//! Neither side is led out of the destination by the other: names are single path components, links are never
//! followed, and [`get`] accepts only the names that were requested.
//!
//! [`Distribution`] and [`put_all`] copy the same files to several contexts and send the contents once
//! over each link that the contexts share.

mod broadcast;
mod directory;
mod error;
mod group;
mod options;
mod part;
mod push;
mod report;
mod requested;
mod scan;
mod service;
mod session;
mod source;
mod target;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mitogen_core::call::Context;
use mitogen_core::pickle::Value;

pub use error::{FileError, FileErrorKind};
pub use group::{Distribution, Member};
pub use options::TransferOptions;
pub use push::{PUSH_FILE_SERVICE, PushFileService};
pub use report::{Skipped, TransferProgress, TransferReport};
pub use scan::Sources;
pub use service::{FILE_SERVICE, FileService};
use session::Session;

/// Copies `sources` to `dest` in `context`; directories with everything in them.
///
/// `dest` is interpreted as `cp` does: if it is a directory, the sources are copied into it. It must be a
/// directory if there are several sources or if it ends with a slash. Otherwise the only source is copied
/// to that name. A relative `dest` is relative to the context's working directory. Symbolic links below a
/// source are copied as links. `progress` is called after each chunk and each file.
///
/// ```
/// use std::os::unix::ffi::OsStrExt;
///
/// use mitogen::files::{self, Sources, TransferOptions};
/// use mitogen::{Master, MasterOptions, transports::local};
///
/// let scratch = std::env::temp_dir().join(format!("mitogen-example-{}", std::process::id()));
/// std::fs::create_dir(&scratch)?;
/// let (original, copy, back) = (scratch.join("original"), scratch.join("copy"), scratch.join("back"));
/// std::fs::write(&original, "contents")?;
///
/// let master = Master::start(MasterOptions::default())?;
/// let context = master.connect(&local::Local::new(local::Options::new())?)?.wait()?;
/// let options = TransferOptions::new().mode(0o640);
///
/// let sources = Sources::scan(&[&original])?;
/// let report = files::put(&context, &sources, copy.as_os_str().as_bytes(), &options, |_| ())?;
/// assert_eq!((report.progress.files, report.progress.bytes), (1, 8));
///
/// files::get(&context, &[copy.as_os_str().as_bytes().to_vec()], &back, &options, |_| ())?;
/// assert_eq!(std::fs::read_to_string(&back)?, "contents");
///
/// master.shutdown();
/// std::fs::remove_dir_all(&scratch)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`FileError`]. Files that were in place before the error stay.
pub fn put(
    context: &Context,
    sources: &Sources,
    dest: &[u8],
    options: &TransferOptions,
    mut progress: impl FnMut(&TransferProgress),
) -> Result<TransferReport, FileError> {
    let mut session = source::open(context, sources, dest, options)?;
    source::send(&mut session, sources, options, None, &mut progress)
}

/// Copies `sources` to `dest` in several contexts at once, as [`put`] does, and sends each file once over
/// each link that the contexts share (see [`Distribution`]).
///
/// `progress` is passed the index of the context in `contexts`. The results are in the order of `contexts`.
///
/// # Panics
/// If `progress` panics.
pub fn put_all(
    contexts: &[Context],
    sources: &Sources,
    dest: &[u8],
    options: &TransferOptions,
    progress: impl Fn(usize, &TransferProgress) + Sync,
) -> Vec<Result<TransferReport, FileError>> {
    let distribution = Distribution::new(sources, options);
    let members: Vec<Member> = contexts.iter().map(|context| distribution.add(context)).collect();
    let progress = &progress;
    std::thread::scope(|scope| {
        let start = |(index, member): (usize, Member)| {
            scope.spawn(move || member.put(dest, |progressed| progress(index, progressed)))
        };
        let threads: Vec<_> = members.into_iter().enumerate().map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Copies `sources`, which are paths in `context`, to `dest` on this host. The rules for `dest` are those of
/// [`put`], which has an example. A source may begin with `~/`, and be a pattern as the shell knows them (`*`, `?`,
/// `[a-z]`) where there is no file of that name.
///
/// # Errors
/// See [`FileError`]. Files that were in place before the error stay.
pub fn get(
    context: &Context,
    sources: &[Vec<u8>],
    dest: &Path,
    options: &TransferOptions,
    mut progress: impl FnMut(&TransferProgress),
) -> Result<TransferReport, FileError> {
    let into = sources.len() > 1 || dest.as_os_str().as_bytes().ends_with(b"/");
    let mut target = target::Target::new(dest, sources, into, options)?;
    let paths = sources.iter().map(|path| Value::from(path.as_slice())).collect();
    let mut session = Session::open(context, "get", vec![Value::List(paths)], options)?;
    target.receive(&mut session, &mut progress)
}
