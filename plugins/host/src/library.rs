//! The boundary: a shared object becomes a table of owned texts and one function.
//!
//! The only module of this crate with `unsafe`. What a plugin says is checked before it is used: the table's first
//! members before the others, lengths before bytes. A plugin runs in this process, so a hostile one cannot be contained;
//! the checks are against mistakes, and `trust.rs` keeps others from choosing the code.

#![allow(unsafe_code)]

use std::collections::HashSet;
use std::ffi::c_int;
use std::mem::{ManuallyDrop, offset_of};
use std::path::Path;
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};
use mitogen_plugin_abi::{
    ABI_MAJOR, ABI_MINOR, Buf, ERROR, MAGIC, OK, PANICKED, PlanFn, Plugin, PluginFn, REPLY_MAX, SYMBOL, Str,
};

use crate::error::LoadError;

/// The longest name and version, in bytes.
const WORD_MAX: usize = 256;

/// A loaded plugin.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The JSON Schema of the options.
    pub(crate) options: String,
    plan: PlanFn,
    /// The address of its table: the same each time that the file is loaded.
    table: usize,
    /// Never unloaded.
    _opened: ManuallyDrop<Opened>,
}

/// The turn to call a plugin: one call at a time, because a file that is loaded twice is one plugin. It holds the tables
/// of those that have panicked.
fn turn() -> MutexGuard<'static, HashSet<usize>> {
    static TURN: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Plan(String),
    Error(String),
}

impl Library {
    /// Loads the file, which must be one that only its owner can write.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let refused = |reason: String| LoadError::Refused { path: path.to_owned(), reason };
        let flags: c_int = RTLD_NOW | RTLD_LOCAL;
        // SAFETY: the initializers of the file run here. That its owner may run code as this user was checked by the
        // caller, and a plugin's documentation asks that they start nothing.
        let opened = unsafe { Opened::open(Some(path), flags) };
        let opened = opened.map_err(|source| LoadError::Loader { path: path.to_owned(), source })?;
        // From here on it stays, whatever is found: an initializer may have started a thread.
        let opened = ManuallyDrop::new(opened);
        // SAFETY: the interface gives the symbol this type; nothing else is known of a file that exports the name.
        let symbol = unsafe { opened.get::<PluginFn>(SYMBOL) };
        let _turn = turn();
        let exported =
            *symbol.map_err(|_| refused("it exports no mitogen_plugin_v1: it is not a plugin".to_owned()))?;
        // SAFETY: a function without arguments, which returns a pointer to a table that is never freed.
        let table = unsafe { exported() };
        let address = table.addr();
        let table = read(table).map_err(refused)?;
        let text = |what: &str, text: Str, max| {
            // SAFETY: a text of the table is valid for ever.
            unsafe { copy(text.ptr, text.len, max) }
                .map_err(|problem| refused(format!("its {what} {problem}")))
        };
        Ok(Self {
            name: text("name", table.name, WORD_MAX)?,
            version: text("version", table.version, WORD_MAX)?,
            options: text("option schema", table.options, REPLY_MAX)?,
            plan: table.plan.ok_or_else(|| refused("it has no function `plan`".to_owned()))?,
            table: address,
            _opened: opened,
        })
    }

    /// Asks for a plan.
    pub(crate) fn plan(&self, request: &str) -> Result<Answer, String> {
        let mut turn = turn();
        if turn.contains(&self.table) {
            return Err("the plugin has panicked before and is not called again".to_owned());
        }
        let text = Str { ptr: request.as_ptr(), len: request.len() };
        let mut reply = Buf { ptr: ptr::null_mut(), len: 0, free: None };
        // SAFETY: the request is valid text during the call, the reply can be written, and the lock makes it the only
        // call.
        let status = unsafe { (self.plan)(text, &raw mut reply) };
        if status == PANICKED {
            turn.insert(self.table);
            return Err("the plugin has panicked".to_owned());
        }
        // SAFETY: the reply of a call that has returned is text of the plugin until it is freed below.
        let copied = unsafe { copy(reply.ptr, reply.len, REPLY_MAX) };
        if let (Some(free), false) = (reply.free, reply.ptr.is_null()) {
            // SAFETY: the plugin's own function gets what the plugin has returned, once.
            unsafe { free(reply.ptr, reply.len) };
        }
        let copied = copied.map_err(|problem| format!("the plugin's reply {problem}"))?;
        match status {
            OK => Ok(Answer::Plan(copied)),
            ERROR => Ok(Answer::Error(copied)),
            other => Err(format!("the plugin returned {other}, which has no meaning")),
        }
    }
}

/// Reads a table, its first members first.
fn read(table: *const Plugin) -> Result<Plugin, String> {
    if table.is_null() || !table.is_aligned() {
        return Err("it returned no table: its start has failed".to_owned());
    }
    // SAFETY: not null, aligned, and every table of every version begins with these members.
    let magic = unsafe { (*table).magic };
    if magic != MAGIC {
        return Err(format!("its table begins with {magic:#x} instead of {MAGIC:#x}"));
    }
    // SAFETY: as above.
    let major = unsafe { (*table).abi_major };
    // SAFETY: as above.
    let minor = unsafe { (*table).abi_minor };
    if major != ABI_MAJOR || minor > ABI_MINOR {
        return Err(format!(
            "it was built for version {major}.{minor} of the plugin interface, and this program supports {ABI_MAJOR}.0 to \
             {ABI_MAJOR}.{ABI_MINOR}"
        ));
    }
    // SAFETY: as above.
    let size = unsafe { (*table).struct_size };
    let needed = offset_of!(Plugin, plan) + size_of::<Option<PlanFn>>();
    if usize::try_from(size).unwrap_or(usize::MAX) < needed {
        return Err(format!("its table has {size} bytes, and version {major}.{minor} has {needed}"));
    }
    // SAFETY: the table says that it has all members of this version.
    Ok(unsafe { table.read() })
}

/// A copy of text.
///
/// # Safety
/// If `ptr` is not null, `len` bytes can be read from it.
unsafe fn copy(ptr: *const u8, len: usize, max: usize) -> Result<String, String> {
    if len > max {
        return Err(format!("has {len} bytes, more than {max}"));
    }
    if len == 0 {
        return Ok(String::new());
    }
    if ptr.is_null() {
        return Err(format!("is a null pointer with {len} bytes"));
    }
    // SAFETY: the caller's promise, and the length was checked.
    let bytes = unsafe { std::slice::from_raw_parts(ptr, len) };
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "is not UTF-8".to_owned())
}
