//! Stock Mitogen's `FileService`, served from here: for peers that know no other way to get a file.
//!
//! A window for each link, one transfer after the other on it; no checksum, no resume. Reading
//! happens on the services' threads.

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

/// The name under which Python programs call it.
pub const FILE_SERVICE: &str = "mitogen.service.FileService";
/// The window of each link, in bytes; at most one chunk more is under way.
const WINDOW: u64 = 1 << 20;
/// The longest chunk: what fits into stock's read buffer with a header.
const CHUNK: usize = 131_072 - 26;

/// Files that others may fetch. Clones are the same.
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
    /// Only the first transfers.
    queue: VecDeque<Transfer>,
}

#[derive(Debug)]
struct Transfer {
    sender: Sender,
    file: File,
    /// Whether chunks go as they are. Releases of stock before 0.3.39 want them in pickles.
    raw: bool,
}

impl FileService {
    /// Serves files to the contexts of a tree. Contexts with our authority get any file that we can
    /// read, others what has been shared.
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

    /// Lets everybody have this file.
    pub fn share(&self, path: &Path) {
        self.lock().paths.insert(path.to_owned());
    }

    /// Lets everybody have all files under this directory.
    pub fn share_all(&self, directory: &Path) {
        self.lock().prefixes.insert(plain(directory));
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
            // Not on the broker's thread, since the next in the line may have its turn.
            call.router.on_disconnect(caller, move |_| deferrer.defer(move || service.lost(caller, link)));
        }
        let mut state = self.lock();
        // The answer first: what the data mean.
        call.reply(&metadata);
        let link = state.links.entry(call.ingress).or_default();
        // Who knows other encodings says of a request that it is a pickle.
        let raw = call.message.encoding != Encoding::Legacy;
        link.queue.push_back(Transfer { sender, file, raw });
        link.go_on();
        Ok(())
    }

    /// The file and what is to be known of it; or why not.
    fn open(&self, call: &Call<'_>) -> Result<(File, Sender, Value), String> {
        let path = Path::new(call.text("path"));
        let refuse = |text: String| format!("mitogen.service.Error: {text}");
        if !(call.is_privileged() || self.is_shared(path)) {
            return Err(refuse(format!("Path '{}' is not registered with FileService.", path.display())));
        }
        let Some(Value::Sender { context, handle }) = call.get("sender") else {
            return Err(refuse("sender= is no sender".to_owned()));
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
        let whole = plain(path);
        state.paths.contains(path) || state.prefixes.iter().any(|prefix| whole.starts_with(prefix))
    }

    fn acknowledge(&self, call: &Call<'_>) -> Result<(), ServiceError> {
        let size =
            call.get("size").and_then(Value::as_i64).and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let mut state = self.lock();
        let link = state.links.get_mut(&call.ingress);
        let link = link.ok_or_else(|| ServiceError("nothing was sent by this link".to_owned()))?;
        if size > link.unacked {
            tracing::warn!(caller = call.caller().0, size, "more is acknowledged than was sent");
        }
        link.unacked = link.unacked.saturating_sub(size);
        link.go_on();
        Ok(())
    }

    /// A context is gone, and acknowledges nothing any more; those behind it in the line go on.
    fn lost(&self, context: ContextId, ingress: Option<LinkId>) {
        let mut state = self.lock();
        state.watched.remove(&context);
        if let Some(link) = state.links.get_mut(&ingress) {
            link.queue.retain(|transfer| transfer.sender.target().0 != context);
            link.unacked = 0;
            link.go_on();
            if link.queue.is_empty() {
                state.links.remove(&ingress);
            }
        }
    }
}

impl Link {
    fn go_on(&mut self) {
        while self.unacked < WINDOW {
            let Some(Transfer { sender, file, raw }) = self.queue.front_mut() else { return };
            let mut data = Vec::with_capacity(CHUNK);
            // A source that cannot be read on ends early, which its receiver sees by the size.
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

/// The path from the root on, without `.` and `..`, as its text says and not as links lead.
fn plain(path: &Path) -> PathBuf {
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
    fn what_is_shared_has_no_way_out() {
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
