//! What each verb does.

pub mod complete;
pub mod fleet;
pub mod plan;
pub mod profiles;
pub mod script;
