//! The modules that can be sent: each is found and packed once, then cached.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use mitogen_core::connect::Peers;
use mitogen_core::error::with_causes;
use mitogen_core::ids::ContextId;
use mitogen_core::importer;
use mitogen_core::router::Router;
use mitogen_core::runtime::RuntimeModule;

use super::pack::pack;
use super::policy::ImportPolicy;
use super::stats::{Counters, ModuleStats};
use crate::modules::{self, Module, ModuleError, ModuleSource, Related};

/// The space in a message for everything but a module's deflated source: names, lists, path.
const ENVELOPE: usize = 4096;

/// The name of the main program as a module.
const MAIN: &str = "__main__";

/// A module in the form in which it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// The payload of `LOAD_MODULE`.
    pub(crate) payload: Bytes,
    /// Whether it is the reply for a module that does not exist.
    pub(crate) negative: bool,
}

/// How a module of a context's own runtime is sent.
pub(super) enum RuntimeAnswer {
    /// Not at all: the context has it from its start.
    Preinstalled,
    /// As any other module.
    Shared(Packed),
    /// Directly to the context with which the runtime's part of the tree begins: the intermediates
    /// run another runtime.
    Private(ContextId, Packed),
}

type Slots<T> = Mutex<HashMap<String, Arc<OnceLock<T>>>>;

/// The modules of one master.
pub(crate) struct Store {
    sources: CachedSources,
    policy: ImportPolicy,
    main: Option<PathBuf>,
    /// The largest payload that can be sent.
    limit: usize,
    packed: Slots<Packed>,
    plans: Slots<Arc<Related>>,
    pub(super) counters: Counters,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("sources", &self.sources)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Creates a store over `sources`, which are searched in order. `main` is the file of the main program,
    /// if functions of its `__main__` are to be called.
    pub(crate) fn new(
        sources: Vec<Arc<dyn ModuleSource>>,
        policy: ImportPolicy,
        main: Option<PathBuf>,
        limit: usize,
    ) -> Self {
        Self {
            sources: CachedSources { sources, found: Mutex::default() },
            policy,
            main,
            limit: limit.saturating_sub(ENVELOPE),
            packed: Mutex::default(),
            plans: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// The counters so far.
    pub(crate) fn stats(&self) -> ModuleStats {
        self.counters.read()
    }

    /// Whether a call into `module` needs no module from this store: it is part of every Python, or of the
    /// runtime, which is sent separately.
    pub(crate) fn is_elsewhere(&self, module: &str) -> bool {
        let top = module.split('.').next().unwrap_or(module);
        top == "mitogen" || modules::is_standard(top) && !self.policy.overrides(module)
    }

    /// The modules that importing `module` loads.
    pub(crate) fn related(&self, module: &str) -> Arc<Related> {
        slot(&self.plans, module)
            .get_or_init(|| {
                if module == MAIN {
                    // Functions of the main program are called one by one, so their imports are not known in advance.
                    return Arc::default();
                }
                let mut related = modules::related(module, |name| self.sources.find(name));
                // Without this, every refused module would be a useless message.
                let allowed = |name: &String| self.policy.refusal(name).is_none();
                related.needed.retain(allowed);
                related.deferred.retain(allowed);
                related.missing.retain(allowed);
                Arc::new(related)
            })
            .clone()
    }

    /// How `module` is sent to `context` if it belongs to the context's runtime: modules of the package
    /// `mitogen` are the runtime's own, and differ from runtime to runtime.
    pub(super) fn runtime_module(
        &self,
        router: &Router,
        context: ContextId,
        module: &str,
    ) -> Option<RuntimeAnswer> {
        if module.split('.').next() != Some("mitogen") {
            return None;
        }
        let peers = Peers::of(router);
        let (root, runtime) = match peers.root(context) {
            Some(root) => (root.id, root.runtime),
            None => (context, peers.runtime(context)?),
        };
        let sent = |payload| Packed { payload, negative: false };
        match runtime.module(module)? {
            RuntimeModule::Preinstalled => Some(RuntimeAnswer::Preinstalled),
            RuntimeModule::Shared(payload) => Some(RuntimeAnswer::Shared(sent(payload))),
            RuntimeModule::Private(payload) => Some(RuntimeAnswer::Private(root, sent(payload))),
            RuntimeModule::Absent => {
                let payload = importer::negative_payload(module, None);
                Some(RuntimeAnswer::Private(root, Packed { payload, negative: true }))
            }
            _ => None,
        }
    }

    /// The packed module, or the negative reply.
    pub(crate) fn packed(&self, module: &str) -> Packed {
        slot(&self.packed, module)
            .get_or_init(|| match self.pack(module) {
                Ok(payload) => Packed { payload, negative: false },
                Err(reason) => {
                    tracing::debug!(module, ?reason, "cannot serve a module");
                    Packed { payload: importer::negative_payload(module, reason.as_deref()), negative: true }
                }
            })
            .clone()
    }

    fn pack(&self, fullname: &str) -> Result<Bytes, Option<String>> {
        if let Some(reason) = self.policy.refusal(fullname) {
            return Err(Some(reason));
        }
        let found = if fullname == MAIN { self.main_module() } else { self.sources.find(fullname) };
        let module = found.map_err(|error| Some(with_causes(&error).to_string()))?.ok_or(None)?;
        let deflated = pack(&module.source).map_err(|error| Some(format!("{}: {error}", module.path)))?;
        // Intermediates that relay the module preload the modules named here, if they have them.
        let related = self.direct(&module);
        let payload =
            importer::payload(fullname, module.submodules.as_deref(), &module.path, deflated, &related);
        if payload.len() > self.limit {
            return Err(Some(format!(
                "{} needs a message of {} bytes, which exceeds the limit of {}",
                module.path,
                payload.len(),
                self.limit
            )));
        }
        Ok(payload)
    }

    /// What a program imports when it runs, as [`Store::direct`].
    pub(crate) fn imports_of(&self, program: &Bytes) -> Vec<String> {
        let (fullname, source) = (MAIN.to_owned(), program.clone());
        self.direct(&Module { fullname, path: String::new(), source, submodules: None })
    }

    /// What the module's own import statements name: modules that the sources have, and top-level names that
    /// they do not have, for which negative replies are sent in the same way.
    fn direct(&self, module: &Module) -> Vec<String> {
        let parent = module.fullname.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        let mut names: Vec<String> = parent.into_iter().collect();
        for import in modules::imports(&module.source, &module.fullname, module.is_package()) {
            if !import.deferred && !import.implicit {
                names.extend(import.names.iter().map(|name| format!("{}.{name}", import.module)));
                let top = import.module.split('.').next().map(str::to_owned);
                names.extend(top);
                names.push(import.module);
            }
        }
        names.sort_unstable();
        names.dedup();
        names.retain(|name| {
            let is_other = *name != module.fullname && !self.is_elsewhere(name);
            is_other
                && self.policy.refusal(name).is_none()
                && match self.sources.find(name) {
                    Ok(Some(_)) | Err(_) => true,
                    // A child that has the package knows its submodules, and requests no others.
                    Ok(None) => !name.contains('.'),
                }
        });
        names
    }

    fn main_module(&self) -> Result<Option<Module>, ModuleError> {
        let Some(path) = &self.main else {
            // An interpreter without a program has an empty `__main__`, and parts of the standard library
            // (`rlcompleter`, and so `pdb`) import it.
            let (fullname, path, source) = (MAIN.to_owned(), format!("{MAIN}.py"), Bytes::new());
            return Ok(Some(Module { fullname, path, source, submodules: None }));
        };
        let unreadable = |source| ModuleError::Unreadable { path: path.clone(), source };
        let source = std::fs::read(path).map_err(unreadable)?;
        let source = modules::neutralize(&source)
            .map_err(|error| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
        let path = path.display().to_string();
        Ok(Some(Module { fullname: MAIN.to_owned(), path, source: source.into(), submodules: None }))
    }

    /// A data file of a package.
    pub(crate) fn resource(&self, package: &str, name: &str) -> Option<Bytes> {
        if let Some(reason) = self.policy.refusal(package) {
            tracing::debug!(package, name, reason, "refused to serve a resource");
            return None;
        }
        let content = self.sources.resource(package, name).unwrap_or_else(|error| {
            let error = with_causes(&error);
            tracing::warn!(package, name, %error, "cannot read a resource");
            None
        });
        content.filter(|content| {
            let fits = content.len() <= self.limit;
            if !fits {
                tracing::warn!(
                    package,
                    name,
                    bytes = content.len(),
                    limit = self.limit,
                    "a resource exceeds the message size limit"
                );
            }
            fits
        })
    }
}

fn slot<T>(slots: &Slots<T>, name: &str) -> Arc<OnceLock<T>> {
    let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
    match slots.get(name) {
        Some(slot) => Arc::clone(slot),
        None => Arc::clone(slots.entry(name.to_owned()).or_default()),
    }
}

/// Several sources as one, with a cache, because the scans of imports request the same names
/// repeatedly.
struct CachedSources {
    sources: Vec<Arc<dyn ModuleSource>>,
    found: Mutex<HashMap<String, Option<Module>>>,
}

impl fmt::Debug for CachedSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.sources).finish()
    }
}

impl CachedSources {
    fn found(&self) -> std::sync::MutexGuard<'_, HashMap<String, Option<Module>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModuleSource for CachedSources {
    fn find(&self, fullname: &str) -> Result<Option<Module>, ModuleError> {
        if let Some(found) = self.found().get(fullname) {
            return Ok(found.clone());
        }
        let found = self.sources.find(fullname)?;
        self.found().insert(fullname.to_owned(), found.clone());
        Ok(found)
    }

    fn resource(&self, package: &str, name: &str) -> Result<Option<Bytes>, ModuleError> {
        for source in &self.sources {
            if source.find(package)?.is_some() {
                return source.resource(package, name);
            }
        }
        Ok(None)
    }
}
