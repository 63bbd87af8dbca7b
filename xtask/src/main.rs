//! The project's chores: `cargo xtask test`, `lint` and a few more.
//!
//! All flags stand in `flags.rs`, each chore in a file of its own. No crate of the product is linked here. What
//! continuous integration runs is exactly this (`.ci/run`).

mod claims;
mod compare;
mod figures;
mod flags;
mod imports;
mod licences;
mod lint;
mod loc;
mod prepare;
mod root;
mod spdx;
mod stdlib;
mod steps;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

use flags::Chore;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let chore = match flags::parse(&args) {
        Ok(chore) => chore,
        Err(error) => {
            eprintln!("{error}\n\n{}", flags::USAGE);
            return ExitCode::from(2);
        }
    };
    let done = match chore {
        Chore::Help => {
            println!("{}", flags::USAGE);
            Ok(())
        }
        Chore::Test => test::run(),
        Chore::Lint => lint::run(),
        Chore::Tidy => tidy::run(),
        Chore::Imports => imports::run(),
        Chore::Licences => licences::run(),
        Chore::Compare(flags) => compare::run(&flags),
        Chore::Stdlib => stdlib::run(),
        Chore::Loc => loc::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
