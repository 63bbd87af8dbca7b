//! A transport of the program's own: contexts inside of a directory tree, with `chroot`.
//!
//! `cargo run -p mitogen-examples --bin custom_transport -- ROOT`, as root. `/` is a valid `ROOT`.
//!
//! Nothing but `mitogen` is used, so the transport can be a crate of its own.

use std::error::Error;

use mitogen::connect::{
    ChildCommand, Json, OptionKind, OptionSpec, OptionsError, Plan, Spawn, Transport, TransportKind,
    check_word,
};
use mitogen::dialogue::{Dialogue, ExitRule, Failure, FailureKind, START, Source, Stage};
use mitogen::{Master, MasterOptions, Registry};

const METHOD: &str = "chroot";

/// A transport holds its options. Its plan is made without any I/O, and executed by this process or, if
/// the context is reached through another one, by that.
#[derive(Debug)]
struct Chroot {
    root: String,
    username: Option<String>,
}

impl Chroot {
    fn new(root: &str, username: Option<&str>) -> Result<Self, OptionsError> {
        // Without these checks, the values could be flags of the program.
        check_word(METHOD, "root", root)?;
        if let Some(username) = username {
            check_word(METHOD, "username", username)?;
        }
        Ok(Self { root: root.to_owned(), username: username.map(str::to_owned) })
    }

    /// The transport as profiles use it (`method = "chroot"`): a name, the options and how to make it.
    fn kind() -> TransportKind {
        TransportKind::new(METHOD, |options: Json| {
            // The options have been checked against the specifications.
            Self::new(options["root"].as_str().unwrap_or_default(), options["username"].as_str())
        })
        .with_option(OptionSpec::new("root", OptionKind::String, "the new root directory").required())
        .with_option(OptionSpec::new("username", OptionKind::String, "the user to become"))
    }
}

impl Transport for Chroot {
    fn method(&self) -> &str {
        METHOD
    }

    fn plan(&self, child: &ChildCommand) -> Result<Plan, OptionsError> {
        let mut argv = vec![METHOD.to_owned()];
        argv.extend(self.username.iter().map(|username| format!("--userspec={username}")));
        argv.push(self.root.clone());
        argv.extend(child.argv.iter().cloned());

        // The text of a known error, and what it means. Programs that ask for a password also have rules that
        // answer (`mitogen::dialogue::Rule`).
        let failure = |kind, text: &str| Failure::new(Stage::Privilege, kind, text);
        let mut exits = vec![
            ExitRule::new(failure(FailureKind::NotPermitted, "only root may change the root directory"))
                .showing(Source::Any, "Operation not permitted"),
            ExitRule::new(failure(FailureKind::BadOption, "the root directory does not exist"))
                .showing(Source::Any, "cannot change root directory"),
        ];
        // The known errors of the interpreter that is started.
        exits.extend(child.exits.iter().cloned());
        let stages = vec![(START.to_owned(), Stage::Privilege)];

        Ok(Plan::new(format!("chroot.{}", self.root), METHOD, Spawn::new(argv)).with_dialogue(Dialogue {
            exits,
            stages,
            ..Dialogue::default()
        }))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("usage: custom_transport ROOT")?;

    // Beside the built-in transports, for profiles and for requests by name.
    let mut registry: Registry = mitogen::transports::builtin();
    registry.add(Chroot::kind());
    let master = Master::start(MasterOptions::default().transports(registry))?;

    // By type; `master.transports()` creates it from options, as it does for profiles.
    let context = match master.connect(&Chroot::new(&root, None)?)?.wait() {
        Ok(context) => context,
        Err(error) => return Err(error.report().into()),
    };
    let names: Vec<String> = context.call("os.listdir", ("/",))?;
    println!("{}: {} names in its root directory", context.name(), names.len());

    master.shutdown();
    Ok(())
}
