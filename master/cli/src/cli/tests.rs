//! Tests of the command line definition.

use clap::CommandFactory;

use super::*;

fn parse(line: &[&str]) -> Cli {
    Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn rejected(line: &[&str]) -> String {
    Cli::try_parse_from(line).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_definition_passes_claps_checks() {
    Cli::command().debug_assert();
}

#[test]
fn run_takes_targets_and_a_command() {
    let cli =
        parse(&["mitogen", "run", "web,!web1", "db", "-g", "-e", "A=1", "-e", "B=", "-n", "--", "ls", "-l"]);
    let Subcommand::Run(run) = &cli.command else { panic!("{cli:?}") };
    assert_eq!(run.targets, ["web,!web1", "db"]);
    assert_eq!(run.argv(), ["ls", "-l"]);
    assert_eq!(run.exec.env, [("A".into(), "1".into()), ("B".into(), String::new())]);
    assert!(run.exec.gather && run.exec.no_stdin && !run.exec.output.json);
    let cli = parse(&["mitogen", "run", "web", "--", "df -h | tail -1"]);
    let Subcommand::Run(run) = &cli.command else { panic!("{cli:?}") };
    assert_eq!(run.argv(), ["/bin/sh", "-c", "df -h | tail -1"]);
}

#[test]
fn a_command_without_dashes_is_told_where_they_go() {
    let table: [(&[&str], Option<&str>); 5] = [
        (&["web"], Some("no command was given; write `mitogen run web -- COMMAND`")),
        (
            &["web", "uptime"],
            Some("no command was given: it follows `--`; write `mitogen run web -- uptime`"),
        ),
        (
            &["web", "-g", "df", "/tmp"],
            Some("no command was given: it follows `--`; write `mitogen run web -- df /tmp`"),
        ),
        (&["web", "--"], Some("no command was given; write `mitogen run web -- COMMAND`")),
        (&["web", "--", "uptime"], None),
    ];
    for (words, expected) in table {
        let cli = parse(&[&["mitogen", "run"], words].concat());
        let Subcommand::Run(run) = &cli.command else { panic!("{cli:?}") };
        assert_eq!(run.missing_command().as_deref(), expected, "{words:?}");
    }
}

#[test]
fn global_options_are_accepted_before_and_after_the_subcommand() {
    let before = parse(&["mitogen", "-l", "!web1", "-f", "5", "-T", "1.5", "run", "web", "--", "x"]);
    let after = parse(&["mitogen", "run", "web", "-f", "5", "-l", "!web1", "-T", "1.5", "--", "x"]);
    for cli in [before, after] {
        assert_eq!(cli.global.limit.as_deref(), Some("!web1"));
        assert_eq!(cli.global.forks, Some(5));
        assert_eq!(cli.global.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(cli.global.overrides(), Overrides::default().timeout(Duration::from_millis(1500)));
    }
}

#[test]
fn become_options_imply_each_other() {
    let overrides = |flags: &[&str]| {
        let line = [&["mitogen", "ping", "web"], flags].concat();
        parse(&line).global.overrides()
    };
    let sudo = |user: Option<&str>| Some(user.into_iter().fold(Become::new("sudo"), Become::user));
    assert_eq!(overrides(&[]).r#become, None);
    assert_eq!(overrides(&["-b"]).r#become, sudo(None));
    assert_eq!(overrides(&["--become-user", "app"]).r#become, sudo(Some("app")));
    let doas = overrides(&["--become-method", "doas"]).r#become;
    assert_eq!(doas, Some(Become::new("doas")));
    let asked = overrides(&["-bKk", "-u", "admin"]);
    assert!(asked.ask_become_pass && asked.ask_pass);
    assert_eq!((asked.user.as_deref(), asked.r#become), (Some("admin"), sudo(None)));
}

#[test]
fn call_takes_json_arguments() {
    let cli = parse(&["mitogen", "call", "web", "os.path.join", "\"a\"", "-1", "b=2", "--json"]);
    let Subcommand::Call(call) = &cli.command else { panic!("{cli:?}") };
    assert_eq!((call.targets.as_str(), call.function.as_str()), ("web", "os.path.join"));
    assert_eq!(call.arguments, ["\"a\"", "-1", "b=2"]);
    assert!(call.output.json);
}

#[test]
fn the_last_of_fold_and_no_fold_wins() {
    let folding = |flags: &[&str]| {
        let cli = parse(&[&["mitogen", "ping", "web"], flags].concat());
        let Subcommand::Ping(ping) = &cli.command else { panic!("{cli:?}") };
        (ping.output.fold, ping.output.no_fold)
    };
    assert_eq!(folding(&["--fold", "--no-fold"]), (false, true));
    assert_eq!(folding(&["--no-fold", "--fold"]), (true, false));
}

#[test]
fn invalid_command_lines_are_rejected() {
    let table: [(&[&str], &str); 8] = [
        (&["mitogen", "run", "--", "x"], "<TARGETS>"),
        (&["mitogen", "run", "web", "-f", "0", "--", "x"], "expected a number of at least 1"),
        (&["mitogen", "run", "web", "-T", "0", "--", "x"], "expected a number of seconds above 0"),
        (&["mitogen", "run", "web", "-e", "=x", "--", "x"], "expected KEY=VALUE"),
        (&["mitogen", "run", "web", "--diff", "--json", "--", "x"], "cannot be used with"),
        (&["mitogen", "call", "web", "listdir"], "expected a function with its module"),
        (&["mitogen", "call", "web", "os..x"], "expected a function with its module"),
        (&["mitogen", "rum", "web"], "run"),
    ];
    for (line, expected) in table {
        let found = rejected(line);
        assert!(found.contains(expected), "{line:?}: {found}");
    }
}

#[test]
fn help_begins_with_examples() {
    let help = rejected(&["mitogen", "--help"]);
    assert!(help.starts_with("Examples:\n  mitogen run local -- uname -a"), "{help}");
    for text in
        ["Targets:", "Exit status:\n    0  success\n", "--command-timeout", "--become-method", "completions"]
    {
        assert!(help.contains(text), "{text}: {help}");
    }
    assert!(!help.contains("__complete"), "{help}");
}

#[test]
fn the_socket_option_and_its_old_names() {
    let socket = |line: &[&str]| parse(line).global.socket;
    assert_eq!(socket(&["mitogen", "ping", "web"]), None);
    for name in ["--socket", "--tree"] {
        assert_eq!(socket(&["mitogen", "ping", name, "web"]), Some(None));
        let with_path = format!("{name}=/x");
        assert_eq!(socket(&["mitogen", "ping", &with_path, "web"]), Some(Some("/x".into())));
        assert_eq!(socket(&["mitogen", &with_path, "ping", "web"]), Some(Some("/x".into())));
    }
    for name in ["serve", "listen"] {
        for line in
            [&["mitogen", name, "--socket", "/x", "web"][..], &["mitogen", name, "--socket=/x", "web"]]
        {
            let cli = parse(line);
            let Subcommand::Serve(serve) = &cli.command else { panic!("{cli:?}") };
            assert_eq!(serve.socket.as_deref(), Some("/x".as_ref()));
            assert_eq!(serve.targets, ["web"]);
        }
    }
    let help = rejected(&["mitogen", "--help"]);
    assert!(!help.contains("listen") && !help.contains("--tree"), "{help}");
}
