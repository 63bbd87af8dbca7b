//! Upstream Mitogen's `FileService`: for peers that fetch files with the upstream protocol.
//!
//! Each link has a window and one active transfer; there are no checksums, and transfers cannot be resumed.
//! Files are read on the threads of the service pool.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mitogen_core::call::Sender;
use mitogen_core::ids::ContextId;
use mitogen_core::pickle::{Blob, Value};
use mitogen_core::router::LinkId;
use mitogen_core::service::{Call, Deferrer, Kind, Service, ServiceError, ServicePolicy, Services};
use mitogen_core::wire::Encoding;
use nix::libc::O_NONBLOCK;
use nix::unistd::{Gid, Group, Uid, User};

/// The name of the service in calls.
pub const FILE_SERVICE: &str = "mitogen.service.FileService";
/// Unacknowledged bytes for each link; at most one more chunk is sent.
const WINDOW: u64 = 1 << 20;
/// The longest chunk: with a header it fits into upstream Mitogen's read buffer.
const CHUNK: usize = 131_072 - 26;

/// Files that other contexts may fetch. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FileService(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    paths: BTreeSet<PathBuf>,
    prefixes: BTreeSet<PathBuf>,
    links: HashMap<Option<LinkId>, Link>,
    /// Contexts whose transfers are dropped when they are lost.
    watched: HashSet<ContextId>,
}

#[derive(Debug, Default)]
struct Link {
    unacked: u64,
    /// Only the first one is active.
    queue: VecDeque<Transfer>,
}

#[derive(Debug)]
struct Transfer {
    sender: Sender,
    file: File,
    /// Whether chunks are sent unencoded. Releases of upstream Mitogen before 0.3.39 expect pickles.
    raw: bool,
}

impl FileService {
    /// Serves files to the contexts of a router. Contexts that act with this context's authority may fetch any
    /// file that this process can read, others only files that have been shared.
    pub fn start(services: &Services) -> Self {
        let service = Self::default();
        let (one, many, fetch, acknowledge) =
            (service.clone(), service.clone(), service.clone(), service.clone());
        let deferrer = services.deferrer();
        let path = [("path", Kind::Text)];
        services.add(
            Service::new(FILE_SERVICE)
                .method("register", ServicePolicy::AllowParents, &path, move |call| {
                    one.share(Path::new(call.text("path")));
                    Ok(Value::None)
                })
                .method("register_prefix", ServicePolicy::AllowParents, &path, move |call| {
                    many.share_all(Path::new(call.text("path")));
                    Ok(Value::None)
                })
                .no_reply(
                    "fetch",
                    ServicePolicy::AllowAny,
                    &[("path", Kind::Text), ("sender", Kind::Sender)],
                    move |call| fetch.fetch(call, &deferrer),
                )
                .no_reply("acknowledge", ServicePolicy::AllowAny, &[("size", Kind::Int)], move |call| {
                    acknowledge.acknowledge(call)
                }),
        );
        service
    }

    /// Lets every context fetch this file.
    pub fn share(&self, path: &Path) {
        self.lock().paths.insert(path.to_owned());
    }

    /// Lets every context fetch all files under this directory.
    pub fn share_all(&self, directory: &Path) {
        self.lock().prefixes.insert(normalize(directory));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, call: &Call<'_>, deferrer: &Deferrer) -> Result<(), ServiceError> {
        let (file, sender, metadata) = match self.open(call) {
            Ok(found) => found,
            Err(text) => {
                call.reply(&Value::CallError(text.clone()));
                return Err(ServiceError(text));
            }
        };
        if self.lock().watched.insert(call.caller()) {
            let (service, deferrer, caller, link) =
                (self.clone(), deferrer.clone(), call.caller(), call.ingress);
            // Deferred, because it may read from the next file, which the broker's thread must not do.
            call.router.on_disconnect(caller, move |_| deferrer.defer(move || service.lost(caller, link)));
        }
        let mut state = self.lock();
        // The reply has the metadata, so it is sent before the data.
        call.reply(&metadata);
        let link = state.links.entry(call.ingress).or_default();
        // A peer that knows the newer encodings marks its request as a pickle.
        let raw = call.message.encoding != Encoding::Legacy;
        link.queue.push_back(Transfer { sender, file, raw });
        link.send_chunks();
        Ok(())
    }

    /// Opens the requested file. The error is the text of a Python exception.
    fn open(&self, call: &Call<'_>) -> Result<(File, Sender, Value), String> {
        let path = Path::new(call.text("path"));
        let refuse = |text: String| format!("mitogen.service.Error: {text}");
        if !(call.is_privileged() || self.is_shared(path)) {
            return Err(refuse(format!("Path '{}' is not registered with FileService.", path.display())));
        }
        let Some(Value::Sender { context, handle }) = call.get("sender") else {
            return Err(refuse("sender= is not a sender".to_owned()));
        };
        if *context != call.caller() {
            return Err(refuse("sender= kwarg context must match requestee context".to_owned()));
        }
        let failed = |error: std::io::Error| format!("builtins.OSError: {error}: '{}'", path.display());
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).map_err(failed)?;
        let status = file.metadata().map_err(failed)?;
        if !status.is_file() {
            return Err(format!("builtins.OSError: '{}' is not a regular file", path.display()));
        }
        let name = |name: Option<String>| name.map_or(Value::None, |name| Value::from(name.as_str()));
        let owner = User::from_uid(Uid::from_raw(status.uid())).ok().flatten().map(|user| user.name);
        let group = Group::from_gid(Gid::from_raw(status.gid())).ok().flatten().map(|group| group.name);
        let seconds = |whole: i64, nanoseconds: i64| Value::Float(whole as f64 + nanoseconds as f64 / 1e9);
        let metadata = Value::Dict(vec![
            (Value::from("size"), Value::from(status.len())),
            (Value::from("mode"), Value::Int(status.mode().into())),
            (Value::from("owner"), name(owner)),
            (Value::from("group"), name(group)),
            (Value::from("mtime"), seconds(status.mtime(), status.mtime_nsec())),
            (Value::from("atime"), seconds(status.atime(), status.atime_nsec())),
        ]);
        Ok((file, Sender::to(call.router, *context, *handle), metadata))
    }

    fn is_shared(&self, path: &Path) -> bool {
        let state = self.lock();
        let path_in_full = normalize(path);
        state.paths.contains(path) || state.prefixes.iter().any(|prefix| path_in_full.starts_with(prefix))
    }

    fn acknowledge(&self, call: &Call<'_>) -> Result<(), ServiceError> {
        let size =
            call.get("size").and_then(Value::as_i64).and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let mut state = self.lock();
        let link = state.links.get_mut(&call.ingress);
        let link = link
            .ok_or_else(|| ServiceError("acknowledgement for a link on which nothing was sent".to_owned()))?;
        if size > link.unacked {
            tracing::warn!(
                caller = call.caller().0,
                size,
                "a context acknowledged more bytes than it was sent"
            );
        }
        link.unacked = link.unacked.saturating_sub(size);
        link.send_chunks();
        Ok(())
    }

    /// Removes the transfers of a context that has disconnected, and starts the next one of its link.
    fn lost(&self, context: ContextId, ingress: Option<LinkId>) {
        let mut state = self.lock();
        state.watched.remove(&context);
        if let Some(link) = state.links.get_mut(&ingress) {
            link.queue.retain(|transfer| transfer.sender.target().0 != context);
            link.unacked = 0;
            link.send_chunks();
            if link.queue.is_empty() {
                state.links.remove(&ingress);
            }
        }
    }
}

impl Link {
    fn send_chunks(&mut self) {
        while self.unacked < WINDOW {
            let Some(Transfer { sender, file, raw }) = self.queue.front_mut() else { return };
            let mut data = Vec::with_capacity(CHUNK);
            // After a read error the transfer ends early; the receiver notices by the size.
            let read = Read::by_ref(file).take(CHUNK as u64).read_to_end(&mut data);
            if read.is_ok() && !data.is_empty() {
                self.unacked += data.len() as u64;
                let data = Bytes::from(data);
                let sent = if *raw { sender.send_raw(data) } else { sender.send(&Blob(data)) };
                if sent.is_ok() {
                    continue;
                }
            }
            sender.close();
            self.queue.pop_front();
        }
    }
}

/// The path as an absolute one without `.` and `..`, resolved by its text and not by following links.
fn normalize(path: &Path) -> PathBuf {
    let mut whole = std::env::current_dir().unwrap_or_default();
    for part in path.components() {
        match part {
            Component::RootDir => whole = PathBuf::from("/"),
            Component::ParentDir => drop(whole.pop()),
            Component::Normal(name) => whole.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_leave_a_shared_directory() {
        let service = FileService::default();
        service.share_all(Path::new("/srv/files/"));
        service.share(Path::new("/etc/motd"));
        for (path, shared) in [
            ("/srv/files/a", true),
            ("/srv/files/a/../b", true),
            ("/srv/files/../x", false),
            ("/srv/files2", false),
            ("/etc/motd", true),
            ("/etc/motd/x", false),
            ("srv/files/a", false),
        ] {
            assert_eq!(service.is_shared(Path::new(path)), shared, "{path}");
        }
    }
}
