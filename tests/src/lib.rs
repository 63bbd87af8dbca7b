//! Fixtures: the real programs, accounts, networks and interpreters that the end-to-end suites run against.
//!
//! Nothing here knows a crate of the product; the suites (`suites/`) bring the two together. A fixture makes its
//! thing outside this process, hands out what a test needs to reach it, and removes it when dropped. What a killed
//! run left behind is removed by the next one (see [`cleanup`]).
//!
//! Where a tool is missing a fixture fails and says what prepares the machine; it never passes by doing nothing.
//! The modules stand bottom level first.

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
