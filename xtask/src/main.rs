//! Development tasks: `cargo xtask test`, `lint` and a few more.
//!
//! `flags.rs` has the command line of all tasks; each task has a file of its own. No crate of the product is linked.
//! Continuous integration runs the same tasks (`.ci/run`).

mod cli_docs;
mod compare;
mod doc_tests_exist;
mod documents;
mod errors;
mod features;
mod figures;
mod flags;
mod imports;
mod licences;
mod lint;
mod loc;
mod packages;
mod prepare;
mod root;
mod rust_tests;
mod spdx;
mod stdlib;
mod steps;
mod style;
mod test;
mod tree;

use std::process::ExitCode;

use flags::Task;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let task = match flags::parse(&args) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("{error}\n\n{}", flags::USAGE);
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Help => {
            println!("{}", flags::USAGE);
            Ok(())
        }
        Task::Test => test::run(),
        Task::Lint => lint::run(),
        Task::Style => style::run(),
        Task::Documents => lint::documents(),
        Task::Imports => imports::run(),
        Task::Licences => licences::run(),
        Task::Features => features::run(),
        Task::Packages => packages::run(),
        Task::Compare(flags) => compare::run(&flags),
        Task::Stdlib => stdlib::run(),
        Task::Loc => loc::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
