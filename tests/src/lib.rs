//! Fixtures: the real programs, accounts, networks and interpreters that the end-to-end suites use.
//!
//! The fixtures do not depend on the product's crates; the suites (`suites/`) combine both. A fixture creates something
//! outside this process, tells a test how to reach it, and removes it on drop. The next run removes what a killed run
//! left behind (see [`cleanup`]).
//!
//! A fixture fails if a tool is missing, and its message says how to install it. The modules are listed bottom level
//! first.

pub mod error;
pub mod procs;
pub mod run;
pub mod state;
pub mod wait;

pub mod cleanup;

pub mod built;
pub mod link;
pub mod packages;
pub mod pythons;
pub mod sshd;
pub mod stub;
pub mod upstream;
pub mod users;

pub mod leaks;
pub mod netns;

pub use built::{built, mitogen_bin};
pub use error::{FixtureError, Result};
pub use leaks::{Leaks, isolated};
pub use link::DelayLink;
pub use netns::Namespaces;
pub use packages::{Packages, package};
pub use pythons::{Python, pythons};
pub use sshd::{Sshd, SshdOptions};
pub use stub::Stub;
pub use upstream::UpstreamVenv;
pub use users::TestUser;
