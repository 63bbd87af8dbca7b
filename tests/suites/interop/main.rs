//! Stock Mitogen from PyPI as a peer: children that run its core, release by release.
//!
//! A test that needs a release fails if it cannot be installed.

#[path = "../common.rs"]
mod common;

mod children;
mod mixed;
mod releases;
mod via;
