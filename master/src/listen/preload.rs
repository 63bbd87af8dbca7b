//! Sending a context the parts of the runtime that commands need, before the first command.

use mitogen_core::call::{CallError, Context, FunctionName};
use mitogen_core::connect::Peers;
use mitogen_core::runtime::Feature;

/// Modules that are imported at once: what commands, file transfers and `mitogen tree` need.
const LOADED: [&str; 2] = ["mitogen.files", "platform"];

/// Sends `context` the parts of the runtime that commands, scripts and file transfers need, and imports
/// those that most uses need, so that the first command is as fast as later ones. Does not wait for a
/// reply, and does nothing if the context has been lost.
///
/// # Errors
/// The context cannot be written to.
pub fn preload(context: &Context) -> Result<(), CallError> {
    let command = "mitogen.command";
    for feature in [Feature::Commands, Feature::Files, Feature::Scripts, Feature::ScopedCopies] {
        Peers::of(context.router()).provide(context.id(), feature)?;
    }
    let function = FunctionName { module: command.to_owned(), class: None, function: "preload".to_owned() };
    context.request(function).args((&LOADED[..],)).call_no_reply()
}
