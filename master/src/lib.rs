//! The master's library.
