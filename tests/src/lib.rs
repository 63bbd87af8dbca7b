//! The end-to-end fixtures.
