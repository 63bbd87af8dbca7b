//! The ssh transport.
