//! What each verb does.

pub mod complete;
pub mod fleet;
pub mod minify;
pub mod plan;
pub mod profiles;
