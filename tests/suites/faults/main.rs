//! Children that break the protocol, by mistake or in bad faith: whoever they are, only they are lost.

#[path = "../common.rs"]
mod common;

mod boot;
mod fake;
mod forgeries;
mod links;
