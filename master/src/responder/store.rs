//! Everything that can be sent: found once, packed once, remembered.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use mitogen_core::child::embedded_module;
use mitogen_core::connect::{StockPeers, StockRoot};
use mitogen_core::error::with_causes;
use mitogen_core::ids::ContextId;
use mitogen_core::importer;

use super::pack::pack;
use super::policy::ImportPolicy;
use super::stats::{Counters, ModuleStats};
use crate::modules::{self, Module, ModuleError, ModuleSource, Related};
use crate::stock;

/// Room that a message needs around a module's deflated source: names, lists, path.
const ENVELOPE: usize = 4096;

/// The program that functions of `__main__` come from.
const MAIN: &str = "__main__";

/// A module as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// The payload of `LOAD_MODULE`.
    pub(crate) payload: Bytes,
    /// Whether it says that there is no such module.
    pub(crate) negative: bool,
}

/// What a stock child is told of a module of its own package.
pub(super) enum StockAnswer {
    /// Nothing: it has it.
    ThereAlready,
    /// This, which goes to that context: those between are of another kind.
    Module(ContextId, Packed),
}

type Slots<T> = Mutex<HashMap<String, Arc<OnceLock<T>>>>;

/// The modules of one master.
pub(crate) struct Store {
    sources: Sources,
    policy: ImportPolicy,
    main: Option<PathBuf>,
    /// The largest payload that can be sent.
    limit: usize,
    /// Who runs stock's core; of that a client of a tree knows nothing.
    stock: Option<StockPeers>,
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
    /// A store over `sources`, asked in order; `main` is the program's own file, if functions of
    /// its `__main__` are to be called.
    pub(crate) fn new(
        sources: Vec<Arc<dyn ModuleSource>>,
        policy: ImportPolicy,
        main: Option<PathBuf>,
        limit: usize,
        stock: Option<StockPeers>,
    ) -> Self {
        Self {
            sources: Sources { sources, found: Mutex::default() },
            policy,
            main,
            limit: limit.saturating_sub(ENVELOPE),
            stock,
            packed: Mutex::default(),
            plans: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// What has been done so far.
    pub(crate) fn stats(&self) -> ModuleStats {
        self.counters.read()
    }

    /// Whether a call into `module` needs nothing of ours: it is part of every Python, or of the
    /// runtime, whose parts travel by themselves.
    pub(crate) fn is_elsewhere(&self, module: &str) -> bool {
        let top = module.split('.').next().unwrap_or(module);
        top == "mitogen" || modules::is_standard(top) && !self.policy.overrides(module)
    }

    /// What goes with `module`.
    pub(crate) fn related(&self, module: &str) -> Arc<Related> {
        slot(&self.plans, module)
            .get_or_init(|| {
                if module == MAIN {
                    // A program's imports are those of the functions called, known one by one.
                    return Arc::default();
                }
                let mut related = modules::related(module, |name| self.sources.find(name));
                // Refused ones would be as many useless messages.
                let allowed = |name: &String| self.policy.refusal(name).is_none();
                related.needed.retain(allowed);
                related.deferred.retain(allowed);
                related.missing.retain(allowed);
                Arc::new(related)
            })
            .clone()
    }

    /// What `module` means to those behind the link to `context`, if that is not what it means to
    /// others: what is called `mitogen` is the runtime's own affair, and stock's runtime is another.
    pub(super) fn stock_module(&self, context: ContextId, module: &str) -> Option<StockAnswer> {
        if module.split('.').next() != Some("mitogen") {
            return None;
        }
        let StockRoot { id, package } = self.stock.as_ref()?.behind(context)?;
        // These two are in every stock child.
        if module == "mitogen" || module == "mitogen.core" {
            return Some(StockAnswer::ThereAlready);
        }
        let negative = package.module(module).is_none();
        let payload = stock::module_payload(&package, module);
        Some(StockAnswer::Module(id, Packed { payload, negative }))
    }

    /// `module` as it is sent, or the negative answer.
    pub(crate) fn packed(&self, module: &str) -> Packed {
        slot(&self.packed, module)
            .get_or_init(|| match self.pack(module) {
                Ok(payload) => Packed { payload, negative: false },
                Err(reason) => {
                    tracing::debug!(module, ?reason, "a module that cannot be served");
                    Packed { payload: importer::negative_payload(module, reason.as_deref()), negative: true }
                }
            })
            .clone()
    }

    fn pack(&self, fullname: &str) -> Result<Bytes, Option<String>> {
        if embedded_module(fullname).is_some() {
            return Ok(importer::embedded_payload(fullname));
        }
        if let Some(reason) = self.policy.refusal(fullname) {
            return Err(Some(reason));
        }
        let found = if fullname == MAIN { self.main_module() } else { self.sources.find(fullname) };
        let module = found.map_err(|error| Some(with_causes(&error).to_string()))?.ok_or(None)?;
        let deflated = pack(&module.source).map_err(|error| Some(format!("{}: {error}", module.path)))?;
        // Those who pass it on send ahead what it names here, as far as they have it.
        let related = self.direct(&module);
        let payload =
            importer::payload(fullname, module.submodules.as_deref(), &module.path, deflated, &related);
        if payload.len() > self.limit {
            return Err(Some(format!(
                "{} makes a message of {} bytes, and {} is the limit",
                module.path,
                payload.len(),
                self.limit
            )));
        }
        Ok(payload)
    }

    /// What a program imports when it is run, as [`Store::direct`].
    pub(crate) fn imports_of(&self, program: &Bytes) -> Vec<String> {
        let (fullname, source) = (MAIN.to_owned(), program.clone());
        self.direct(&Module { fullname, path: String::new(), source, submodules: None })
    }

    /// What the module's own import statements name: modules that are here, and names that nobody
    /// has, whose negative answers travel likewise.
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
                    // Whoever has the package knows what is in it, and asks for nothing else.
                    Ok(None) => !name.contains('.'),
                }
        });
        names
    }

    fn main_module(&self) -> Result<Option<Module>, ModuleError> {
        let Some(path) = &self.main else {
            // As an interpreter has one that was given no program; parts of the library (`rlcompleter`,
            // and so `pdb`) import it.
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

    /// A package's data file.
    pub(crate) fn resource(&self, package: &str, name: &str) -> Option<Bytes> {
        if let Some(reason) = self.policy.refusal(package) {
            tracing::debug!(package, name, reason, "a resource that may not be served");
            return None;
        }
        let content = self.sources.resource(package, name).unwrap_or_else(|error| {
            let error = with_causes(&error);
            tracing::warn!(package, name, %error, "a resource that cannot be read");
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
                    "a resource too large to send"
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

/// Several sources as one; what was found is remembered, since closures ask for the same names
/// again and again.
struct Sources {
    sources: Vec<Arc<dyn ModuleSource>>,
    found: Mutex<HashMap<String, Option<Module>>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.sources).finish()
    }
}

impl Sources {
    fn found(&self) -> std::sync::MutexGuard<'_, HashMap<String, Option<Module>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModuleSource for Sources {
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
