//! The sudo transport.
