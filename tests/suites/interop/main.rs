//! Interoperability with every supported release of upstream Mitogen from PyPI.
//!
//! A test fails if a release that it needs cannot be installed.

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
