//! The command line for su.

use std::collections::BTreeMap;

use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::quote_argv;

use crate::options::Options;

/// What su is started with: the form that every su understands, Linux, BSD and busybox.
pub(crate) fn argv(options: &Options, child: &ChildCommand) -> Vec<String> {
    // su cannot be given a prompt, so its language is set to one we know (see `environment`), and
    // taken back here: an empty LANGUAGE counts as none. By way of env, because the new user's
    // shell may be one without assignments in front of commands.
    let mut words = vec!["env".to_owned(), "LANGUAGE=".to_owned()];
    words.extend(child.argv.iter().cloned());
    let command = format!("exec {}", quote_argv(&words));
    vec![options.su_path.clone(), options.username.clone(), "-c".to_owned(), command]
}

/// Environment changes: messages in English, without touching the character set or anything else
/// that a locale says.
pub(crate) fn environment() -> BTreeMap<String, Option<String>> {
    BTreeMap::from([("LANGUAGE".to_owned(), Some("en".to_owned()))])
}
