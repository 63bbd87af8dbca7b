//! Sources and what becomes of them, as data.

mod minimize;
mod tokens;
