//! What commands need in a context, brought there before there is one.

use mitogen_core::call::{CallError, Context, FunctionName};
use mitogen_core::connect::Peers;
use mitogen_core::runtime::Feature;

/// Imported at once: what a command, a copy of files and `mitogen tree` need.
const LOADED: [&str; 2] = ["mitogen.files", "platform"];

/// Sends `context` the parts of the runtime that commands, programs and files need, and has those
/// loaded that most will need: so the first command there costs no more than the second. Waits for
/// nothing; a context that is already lost is left alone.
///
/// # Errors
/// The context cannot be written to.
pub fn warm(context: &Context) -> Result<(), CallError> {
    let command = "mitogen.command";
    for feature in [Feature::Commands, Feature::Files, Feature::Scripts, Feature::ScopedCopies] {
        Peers::of(context.router()).provide(context.id(), feature)?;
    }
    let function = FunctionName { module: command.to_owned(), class: None, function: "warm".to_owned() };
    context.request(function).args((&LOADED[..],)).call_no_reply()
}
