//! What each verb does.

pub mod complete;
pub mod files;
pub mod fleet;
pub mod plan;
pub mod profiles;
