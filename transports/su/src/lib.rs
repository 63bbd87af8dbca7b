//! The su transport.
