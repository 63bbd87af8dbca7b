//! Children that violate the protocol, by mistake or on purpose: no other context is affected.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

#[path = "../common.rs"]
mod common;

mod boot;
mod environment;
mod fake;
mod forgeries;
mod links;
mod silence;
