//! Removes comments and docstrings from Python source, and keeps every statement on its line.
//!
//! The functions take and return text; the crate knows nothing about files, modules or contexts. Its tokenizer supports
//! Python 2.7 to 3.14 and is public, for callers that look for imports.
#![forbid(unsafe_code)]

mod encoding;
mod error;
mod literal;
mod many;
mod minimize;
mod number;
mod token_writer;
mod tokens;

#[cfg(test)]
mod tests;

pub use encoding::{declare_utf8, decode};
pub use error::{Error, Fault};
pub use many::minimize_all;
pub use minimize::{compact, minimize_source};
pub use tokens::{Token, TokenKind, Tokens, tokens};
