//! The C interface of shared objects that add transports, as Rust types.
//!
//! `include/mitogen_plugin.h` is the same for C, and a test compares the two. The types have no behaviour; the crates
//! `mitogen-plugin-sdk` and `mitogen-plugin-host` are the two sides. Members are appended and never moved: a table
//! says its size, so that a newer host reads an older plugin.

/// The first member of every table: `MITO` as a number.
pub const MAGIC: u32 = 0x4d49_544f;
/// The major version, which must be equal on both sides.
pub const ABI_MAJOR: u16 = 1;
/// The minor version. A plugin's may be lower than the host's.
pub const ABI_MINOR: u16 = 0;
/// The name of the function that a plugin exports, with the final NUL.
pub const SYMBOL: &[u8] = b"mitogen_plugin_v1\0";
/// The largest reply, in bytes.
pub const REPLY_MAX: usize = 1 << 20;

/// The reply holds a plan.
pub const OK: i32 = 0;
/// The reply holds an error.
pub const ERROR: i32 = 1;
/// The plugin panicked and must not be called again.
pub const PANICKED: i32 = 2;

/// UTF-8 text, not terminated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// The first byte.
    pub ptr: *const u8,
    /// The number of bytes.
    pub len: usize,
}

/// Frees a reply.
pub type Free = unsafe extern "C" fn(*mut u8, usize);

/// UTF-8 text that the plugin owns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buf {
    /// The first byte.
    pub ptr: *mut u8,
    /// The number of bytes.
    pub len: usize,
    /// What frees it; `None` for text that lives for ever.
    pub free: Option<Free>,
}

/// Makes a plan.
pub type PlanFn = unsafe extern "C" fn(Str, *mut Buf) -> i32;

/// What a plugin says about itself.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// [`MAGIC`].
    pub magic: u32,
    /// The size of this table in the plugin.
    pub struct_size: u32,
    /// The major version that the plugin was built for.
    pub abi_major: u16,
    /// The minor version that the plugin was built for.
    pub abi_minor: u16,
    /// 0.
    pub reserved: u32,
    /// The transport's name.
    pub name: Str,
    /// The plugin's version.
    pub version: Str,
    /// The transport's options, as a JSON Schema.
    pub options: Str,
    /// Makes a plan.
    pub plan: Option<PlanFn>,
}

/// The exported function.
pub type PluginFn = unsafe extern "C" fn() -> *const Plugin;
