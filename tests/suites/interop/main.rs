//! Stock Mitogen from PyPI as a peer: children that run its core, ours and our contexts', release by release.
//!
//! A test that needs a release fails if it cannot be installed.

#[path = "../common.rs"]
mod common;

mod below;
mod children;
mod clients;
mod listener;
mod mixed;
mod proxy;
mod releases;
mod services;
mod via;
