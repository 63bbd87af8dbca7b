//! Command lines and what they mean.

use clap::CommandFactory;

use super::*;

fn parse(line: &[&str]) -> Cli {
    Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn refused(line: &[&str]) -> String {
    Cli::try_parse_from(line).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn run_takes_targets_and_a_command() {
    let cli =
        parse(&["mitogen", "run", "web,!web1", "db", "-g", "-e", "A=1", "-e", "B=", "-n", "--", "ls", "-l"]);
    let Verb::Run(run) = &cli.verb else { panic!("{cli:?}") };
    assert_eq!(run.targets, ["web,!web1", "db"]);
    assert_eq!(run.command(), Command::Argv(vec!["ls".into(), "-l".into()]));
    assert_eq!(run.execution.env, [("A".into(), "1".into()), ("B".into(), String::new())]);
    assert!(run.execution.gather && run.execution.no_stdin && !run.execution.shape.json);
    let cli = parse(&["mitogen", "run", "web", "--", "df -h | tail -1"]);
    let Verb::Run(run) = &cli.verb else { panic!("{cli:?}") };
    assert_eq!(run.command(), Command::Shell("df -h | tail -1".into()));
    assert_eq!(run.command().argv(), ["/bin/sh", "-c", "df -h | tail -1"]);
}

#[test]
fn global_options_stand_anywhere() {
    let before = parse(&["mitogen", "-l", "!web1", "-f", "5", "-T", "1.5", "run", "web", "--", "x"]);
    let after = parse(&["mitogen", "run", "web", "-f", "5", "-l", "!web1", "-T", "1.5", "--", "x"]);
    for cli in [before, after] {
        assert_eq!(cli.global.limit.as_deref(), Some("!web1"));
        assert_eq!(cli.global.forks, Some(5));
        assert_eq!(cli.global.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(cli.global.overrides(), Overrides { timeout: cli.global.timeout, ..Overrides::default() });
    }
}

#[test]
fn become_options_imply_each_other() {
    let overrides = |flags: &[&str]| {
        let line = [&["mitogen", "ping", "web"], flags].concat();
        parse(&line).global.overrides()
    };
    let sudo = |user: Option<&str>| Some(Become { method: "sudo".into(), user: user.map(str::to_owned) });
    assert_eq!(overrides(&[]).r#become, None);
    assert_eq!(overrides(&["-b"]).r#become, sudo(None));
    assert_eq!(overrides(&["--become-user", "app"]).r#become, sudo(Some("app")));
    let doas = overrides(&["--become-method", "doas"]).r#become;
    assert_eq!(doas, Some(Become { method: "doas".into(), user: None }));
    let asked = overrides(&["-bKk", "-u", "admin"]);
    assert!(asked.ask_become_pass && asked.ask_pass);
    assert_eq!((asked.user.as_deref(), asked.r#become), (Some("admin"), sudo(None)));
}

#[test]
fn call_takes_json() {
    let cli = parse(&["mitogen", "call", "web", "os.path.join", "\"a\"", "-1", "b=2", "--json"]);
    let Verb::Call(call) = &cli.verb else { panic!("{cli:?}") };
    assert_eq!((call.targets.as_str(), call.function.as_str()), ("web", "os.path.join"));
    assert_eq!(call.arguments, ["\"a\"", "-1", "b=2"]);
    assert!(call.shape.json);
}

#[test]
fn the_last_of_fold_and_no_fold_holds() {
    let shape = |flags: &[&str]| {
        let cli = parse(&[&["mitogen", "ping", "web"], flags].concat());
        let Verb::Ping(ping) = &cli.verb else { panic!("{cli:?}") };
        (ping.shape.fold, ping.shape.no_fold)
    };
    assert_eq!(shape(&["--fold", "--no-fold"]), (false, true));
    assert_eq!(shape(&["--no-fold", "--fold"]), (true, false));
}

#[test]
fn faults_are_refused() {
    let table: [(&[&str], &str); 9] = [
        (&["mitogen", "run", "--", "x"], "<TARGETS>"),
        (&["mitogen", "run", "web"], "<COMMAND>"),
        (&["mitogen", "run", "web", "-f", "0", "--", "x"], "give a number, at least 1"),
        (&["mitogen", "run", "web", "-T", "0", "--", "x"], "give a number of seconds above 0"),
        (&["mitogen", "run", "web", "-e", "=x", "--", "x"], "write KEY=VALUE"),
        (&["mitogen", "run", "web", "--diff", "--json", "--", "x"], "cannot be used with"),
        (&["mitogen", "call", "web", "listdir"], "write the function with its module"),
        (&["mitogen", "call", "web", "os..x"], "write the function with its module"),
        (&["mitogen", "rum", "web"], "run"),
    ];
    for (line, expected) in table {
        let found = refused(line);
        assert!(found.contains(expected), "{line:?}: {found}");
    }
}

#[test]
fn help_begins_with_examples() {
    let help = refused(&["mitogen", "--help"]);
    assert!(help.starts_with("Examples:\n  mitogen run local -- uname -a"), "{help}");
    for text in ["Targets:", "Exit status", "--command-timeout", "--become-method", "completions"] {
        assert!(help.contains(text), "{text}: {help}");
    }
    assert!(!help.contains("__complete"), "{help}");
}
