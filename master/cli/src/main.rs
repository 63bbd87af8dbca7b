//! The mitogen command: see the library beside this file.

fn main() -> std::process::ExitCode {
    mitogen_cli::main()
}
