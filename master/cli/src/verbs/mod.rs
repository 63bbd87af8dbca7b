//! What each verb does.

pub mod complete;
pub mod profiles;
