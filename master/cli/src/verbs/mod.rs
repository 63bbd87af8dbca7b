//! What each verb does.

pub mod complete;
pub mod files;
pub mod fleet;
pub mod listen;
pub mod minify;
pub mod plan;
pub mod profiles;
pub mod script;
pub mod tree;
