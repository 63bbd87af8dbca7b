//! Sources and what becomes of them, as data.

mod encoding;
mod minimize;
mod tokens;
