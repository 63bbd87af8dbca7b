//! The mitogen command.
fn main() {}
