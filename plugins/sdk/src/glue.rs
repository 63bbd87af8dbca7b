//! The boundary: pointers of the host become texts, texts become replies, and panics end here.

#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use mitogen_core::connect::TransportKind;
use mitogen_plugin_abi::{ABI_MAJOR, ABI_MINOR, Buf, ERROR, MAGIC, OK, PANICKED, PlanFn, Plugin, Str};

use crate::{answer, schema};

/// A table that lives as long as the process.
pub struct Table(Plugin);

// SAFETY: the table is never written after it was made, and its pointers lead to leaked texts.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// The table of a plugin, made once.
pub type Cell = OnceLock<Option<Table>>;

/// The table of the transport that `kind` returns; null if `kind` panics.
pub fn table(
    cell: &'static Cell,
    kind: fn() -> TransportKind,
    version: &'static str,
    plan: PlanFn,
) -> *const Plugin {
    let made = cell.get_or_init(|| {
        catch_unwind(|| {
            let kind = kind();
            Table(Plugin {
                magic: MAGIC,
                // The size of a small struct.
                struct_size: u32::try_from(size_of::<Plugin>()).unwrap_or(u32::MAX),
                abi_major: ABI_MAJOR,
                abi_minor: ABI_MINOR,
                reserved: 0,
                name: text(kind.name().to_owned().leak()),
                version: text(version),
                options: text(schema(kind.options()).to_string().leak()),
                plan: Some(plan),
            })
        })
        .ok()
    });
    made.as_ref().map_or(std::ptr::null(), |table| &raw const table.0)
}

fn text(text: &'static str) -> Str {
    Str { ptr: text.as_ptr(), len: text.len() }
}

/// Answers a request of the host.
///
/// # Safety
/// `request` is text that is valid during the call, and `reply` can be written.
pub unsafe fn plan(kind: fn() -> TransportKind, request: Str, reply: *mut Buf) -> i32 {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let bytes = if request.len == 0 {
            &[]
        } else {
            // SAFETY: the caller's promise: `len` bytes at `ptr` are readable and do not change during the call.
            unsafe { std::slice::from_raw_parts(request.ptr, request.len) }
        };
        match answer(&kind(), &String::from_utf8_lossy(bytes)) {
            Ok(text) => (OK, text),
            Err(text) => (ERROR, text),
        }
    }));
    let Ok((status, text)) = answered else { return PANICKED };
    let bytes = text.into_bytes().into_boxed_slice();
    let len = bytes.len();
    let ptr = Box::into_raw(bytes).cast::<u8>();
    // SAFETY: the caller's promise: `reply` is valid for a write.
    unsafe { reply.write(Buf { ptr, len, free: Some(free) }) };
    status
}

/// Frees a reply of [`plan`].
///
/// # Safety
/// `ptr` and `len` are those of a reply, which is not freed twice.
unsafe extern "C" fn free(ptr: *mut u8, len: usize) {
    let bytes = std::ptr::slice_from_raw_parts_mut(ptr, len);
    // SAFETY: the bytes came from `Box::into_raw` of a slice of this length in `plan`, and the host frees a reply once.
    drop(unsafe { Box::from_raw(bytes) });
}

/// The exported function, for [`plugin!`](crate::plugin).
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($kind:path) => {
        #[doc(hidden)]
        #[allow(unsafe_code, missing_docs, unreachable_pub)]
        #[unsafe(no_mangle)]
        pub extern "C" fn mitogen_plugin_v1() -> *const $crate::abi::Plugin {
            #[cfg(panic = "abort")]
            ::core::compile_error!(
                "a plugin needs panic = \"unwind\": an abort would end the program that loads it"
            );
            static CELL: $crate::glue::Cell = $crate::glue::Cell::new();
            // SAFETY: the host calls it as the interface says: with text that is valid, and a reply that can be written.
            unsafe extern "C" fn plan(request: $crate::abi::Str, reply: *mut $crate::abi::Buf) -> i32 {
                unsafe { $crate::glue::plan($kind, request, reply) }
            }
            $crate::glue::table(&CELL, $kind, ::core::env!("CARGO_PKG_VERSION"), plan)
        }
    };
}
