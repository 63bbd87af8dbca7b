//! Python source without comments and docstrings, with every line where it was.
//!
//! Text in, text out; knows nothing of files, modules or contexts. The tokenizer below it reads the sources of
//! every Python from 2.7 to 3.14 and is public: who looks for imports needs the same tokens.
#![forbid(unsafe_code)]

mod encoding;
mod error;
mod literal;
mod many;
mod minimize;
mod number;
mod tokens;
mod writer;

#[cfg(test)]
mod tests;

pub use encoding::{decode, to_utf8};
pub use error::{Error, Fault};
pub use many::minimize_all;
pub use minimize::{compact, minimize_source};
pub use tokens::{Token, TokenKind, Tokens, tokens};
