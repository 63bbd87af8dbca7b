//! The command line for doas.

use mitogen_core::connect::ChildCommand;

use crate::options::Options;

pub(crate) fn argv(options: &Options, child: &ChildCommand) -> Vec<String> {
    let mut argv = vec![options.doas_path.clone(), "-u".to_owned(), options.username.clone()];
    if options.password.is_none() {
        argv.push("-n".to_owned());
    }
    argv.push("--".to_owned());
    argv.extend(child.argv.iter().cloned());
    argv
}
