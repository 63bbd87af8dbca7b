//! Faults: their places, their words, and that all are found at once.

use super::*;

/// The faults of a file, each as its display form.
fn faults(text: &str) -> Vec<String> {
    parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

/// The faults of a file, each as `line:column key: message; hint`.
fn brief(text: &str) -> Vec<String> {
    let found = match parse(text) {
        Ok(_) => return Vec::new(),
        Err(found) => found.0,
    };
    let line = |fault: &Diagnostic| {
        let hint = fault.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
        let key = fault.key.as_deref().unwrap_or("-");
        format!("{}:{} {key}: {}{hint}", fault.line, fault.column, fault.message)
    };
    found.iter().map(line).collect()
}

use crate::profiles::Diagnostic;

#[test]
fn a_fault_shows_its_line_and_what_to_do() {
    let text = "[profile.web]\nmethod = \"ssh\"\nusrname = \"deploy\"\n";
    assert_eq!(
        faults(text),
        ["m.toml:3:1: profile.web.usrname: `ssh` has no option of this name\n  \
          3 | usrname = \"deploy\"\n    | ^^^^^^^\n    = did you mean `username`?"]
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = r#"
[profiles.x]
[defaults]
fork = 3
forks = 0
[profile.web]
method = "ssh"
port = "22"
compression = "yes"
usrname = "deploy"
timeout = 0
via = "gate"
[profile.db]
method = "shh"
[group]
all = ["web", "dbx"]
"#;
    assert_eq!(
        brief(text),
        [
            "2:2 profiles: unknown key at the top of the file | did you mean `profile`?",
            "4:1 defaults.fork: unknown key | did you mean `forks`?",
            "5:9 defaults.forks: this must be a number of connections, not 0 | write forks = 50; at least 1",
            "8:8 profile.web.port: ssh: must be an integer, not a string",
            "9:15 profile.web.compression: ssh: must be true or false, not a string",
            "10:1 profile.web.usrname: `ssh` has no option of this name | did you mean `username`?",
            "11:11 profile.web.timeout: this must be a number of seconds, not 0 | write timeout = 30, at most 86400",
            "12:7 profile.web.via: there is no profile `gate` | add [profile.gate], or name one that exists",
            "14:10 profile.db.method: there is no method `shh` | did you mean `ssh`?",
        ]
    );
}

#[test]
fn a_keepalive_is_a_truth_value_seconds_or_both_numbers() {
    const FORMS: &str = "write keepalive = false, true, a number of seconds, or { interval = 15, count = 3 }";
    let table = [
        ("true", None),
        ("false", None),
        ("0.5", None),
        ("86400", None),
        ("{ interval = 5 }", None),
        ("{ count = 1000 }", None),
        ("\"15\"", Some("this must be a truth value, a number of seconds or a table, not a text")),
        ("[15, 3]", Some("this must be a truth value, a number of seconds or a table, not a list")),
        ("0", Some("this must be a number of seconds, above 0 and at most 86400, not 0")),
        ("86401", Some("this must be a number of seconds, above 0 and at most 86400, not 86401")),
        (
            "{ interval = \"5\" }",
            Some("`interval` must be a number of seconds, above 0 and at most 86400, not a text"),
        ),
        ("{ count = 0 }", Some("`count` must be a number of questions from 1 to 1000, not 0")),
        ("{ count = 1.5 }", Some("`count` must be a number of questions from 1 to 1000, not 1.5")),
        ("{ seconds = 5 }", Some("`seconds` is nothing that a keep-alive has")),
    ];
    for (value, fault) in table {
        let expected = |key: &str| -> Vec<String> {
            fault.iter().map(|fault| format!("2:13 {key}: {fault} | {FORMS}")).collect()
        };
        let found = brief(&format!("[profile.sudo]\nkeepalive = {value}\nmethod = \"sudo\"\n"));
        assert_eq!(found, expected("profile.sudo.keepalive"), "{value}");
        let found = brief(&format!("[defaults]\nkeepalive = {value}\n"));
        assert_eq!(found, expected("defaults.keepalive"), "{value}");
    }
}

#[test]
fn syntax_errors_are_placed() {
    let found = faults("[profile.web]\nmethod = \"ssh\"\npassword = \"hunter2\nx = \n");
    assert!(found[0].starts_with("m.toml:3:"), "{found:?}");
    assert!(found[1].starts_with("m.toml:4:"), "{found:?}");
    assert!(!found.concat().contains("hunter2"), "{found:?}");
    assert!(faults("[profile.web\n")[0].starts_with("m.toml:1:13: unclosed table"));
    let found = brief("a = 1\na = 2\n");
    assert!(found[0].starts_with("2:1 -: duplicate key"), "{found:?}");
}

#[test]
fn profiles_are_checked() {
    let web = "[profile.web]\nmethod = \"ssh\"\n";
    let table: &[(&str, &[&str])] = &[
        (
            "profile = 3",
            &[
                "1:11 profile: this must be a table, not an integer | write [defaults], [profile.NAME] or [group] on a line of its own",
            ],
        ),
        (
            "[profile]\nweb = 3",
            &[
                "2:7 profile.web: a profile must be a table, not an integer | write [profile.web] on a line of its own and its keys below",
            ],
        ),
        (
            "[profile.\"a b\"]\nmethod = \"ssh\"",
            &["1:10 profile.a b: a name cannot have ` ` in it | use letters, digits, `-`, `_` and `.`"],
        ),
        (
            "[profile.-a]\nmethod = \"ssh\"",
            &["1:10 profile.-a: a name cannot begin with a dash | use letters, digits, `-`, `_` and `.`"],
        ),
        (
            "[profile.a]\nusername = \"x\"",
            &[
                "1:10 profile.a: the profile has no method | add method = one of \"docker\", \"local\", \"ssh\", \"sudo\"",
            ],
        ),
        (
            "[profile.a]\nmethod = 3",
            &[
                "2:10 profile.a.method: this must be the name of a transport, not an integer | write one of: docker, local, ssh, sudo",
            ],
        ),
        (
            "[profile.a]\nmethod = \"telnet\"",
            &["2:10 profile.a.method: there is no method `telnet` | known are: docker, local, ssh, sudo"],
        ),
        (
            "[profile.local]\nmethod = \"ssh\"",
            &[
                "2:10 profile.local.method: the profile `local` is this machine itself | give the profile another name",
            ],
        ),
        (
            "[profile.a]\nmethod = \"sudo\"\nzzzzzz = 1",
            &[
                "3:1 profile.a.zzzzzz: `sudo` has no option of this name | known are: extends, hostname, keepalive, method, password, python, stock, sudo_args, timeout, username, via",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nusername = 1979-05-27",
            &["3:12 profile.a.username: no option is a date | write it as a text, in quotes"],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nssh_args = []",
            &["1:10 profile.a.username: ssh: ssh_args need a username"],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\npython = \" \"",
            &[
                "3:10 profile.a.python: this must be the interpreter's command line, not an empty text | write python = \"/usr/bin/python3\" or python = [\"/usr/bin/env\", \"python3\"]",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nstock = \"venv/bin/python\"",
            &[
                "3:9 profile.a.stock: `venv/bin/python` is not a whole path | write stock = \"/opt/venv/bin/python\", an interpreter of this machine that has stock Mitogen, or the directory that it is installed in",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\npython = []",
            &[
                "3:10 profile.a.python: this must be the interpreter's command line, not an empty list | write python = \"/usr/bin/python3\" or python = [\"/usr/bin/env\", \"python3\"]",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\ntimeout = inf",
            &[
                "3:11 profile.a.timeout: this must be a number of seconds, not inf | write timeout = 30, at most 86400",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"x[2-1]\"",
            &[
                "3:12 profile.a.hostname: `x[2-1]`: the range `2-1` runs backwards | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"x[0-100000]\"",
            &[
                "3:12 profile.a.hostname: `x[0-100000]` stands for more than 100000 names; name fewer at once | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"root@x\"",
            &["3:12 profile.a.hostname: `root@x` is no host name | write the user as username = \"...\""],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"-oProxyCommand=x\"",
            &[
                "3:12 profile.a.hostname: `-oProxyCommand=x` is no host name | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"{host}.x\"",
            &[
                "3:12 profile.a.hostname: `{host}.x` is no host name | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = 3",
            &[
                "3:12 profile.a.hostname: this must be a host name or a list of them, not 3 | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nvia = 3",
            &["3:7 profile.a.via: this must be the name of a profile, not an integer | write via = \"NAME\""],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nextends = 3",
            &[
                "3:11 profile.a.extends: this must be the name of a profile, not an integer | write extends = \"NAME\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nvia = \"wbe\"\n[profile.web]\nmethod = \"ssh\"",
            &["3:7 profile.a.via: there is no profile `wbe` | did you mean `web`?"],
        ),
        (
            "[profile.a]\nextends = \"wbe\"\n[profile.web]\nmethod = \"ssh\"",
            &["2:11 profile.a.extends: there is no profile `wbe` | did you mean `web`?"],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nvia = \"t\"\n[profile.t]\nport = 1\n[profile.b]\nextends = \"t\"\nmethod = \"ssh\"",
            &[
                "3:7 profile.a.via: nothing can go through profile `t`: it has no method | name a profile that extends it",
            ],
        ),
        (
            "[profile.t]\nport = 22\n[profile.a]\nmethod = \"sudo\"\nextends = \"t\"",
            &[
                "2:1 profile.t.port: `sudo`, which profile `a` uses has no option of this name | known are: extends, hostname, keepalive, method, password, python, stock, sudo_args, timeout, username, via",
            ],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(brief(text), *expected, "{text}");
    }
    assert!(brief(web).is_empty());
}

#[test]
fn cycles_are_named_in_full_and_once() {
    let cycle = |key: &str| {
        let profile =
            |name: &str, next: &str| format!("[profile.{name}]\nmethod = \"ssh\"\n{key} = \"{next}\"\n");
        profile("b", "c") + &profile("c", "a") + &profile("a", "b") + &profile("x", "a")
    };
    assert_eq!(
        brief(&cycle("via")),
        ["3:7 profile.b.via: profiles go through each other: b -> c -> a -> b | remove one of these `via`"]
    );
    assert_eq!(
        brief(&cycle("extends")),
        [
            "3:11 profile.b.extends: profiles extend each other: b -> c -> a -> b | remove one of these `extends`"
        ]
    );
    assert_eq!(
        brief("[profile.a]\nmethod = \"ssh\"\nvia = \"a\""),
        ["3:7 profile.a.via: profiles go through each other: a -> a | remove one of these `via`"]
    );
    assert_eq!(
        brief(
            "[group]\na = [\"@b\"]\nb = [\"@c\", \"local\"]\nc = [\"local !@a\"]\nd = [\"@a\"]\ne = \"@e\""
        ),
        [
            "2:1 group.a: groups contain each other: @a -> @b -> @c -> @a | take one of these members out",
            "6:1 group.e: groups contain each other: @e -> @e | take one of these members out",
        ]
    );
}

#[test]
fn vias_must_pair_hosts() {
    let text = |a: &str, b: &str| {
        format!(
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"{a}\"\n[profile.b]\nmethod = \"ssh\"\nhostname = \"{b}\"\nvia = \"a\"\n"
        )
    };
    for (a, b) in [("a[1-3]", "b[1-3]"), ("a", "b[1-3]"), ("a[1-3]", "a[1-3]"), ("a", "b")] {
        assert!(brief(&text(a, b)).is_empty(), "{a} {b}");
    }
    let hint = "go through a profile with the same hosts, with as many hosts, or with one";
    assert_eq!(
        brief(&text("a[1-3]", "b[1-2]")),
        [format!("7:7 profile.b.via: `b` has 2 hosts and `a` has 3 | {hint}")]
    );
    assert_eq!(
        brief(&text("a[1-3]", "a1")),
        [format!("7:7 profile.b.via: `b` has 1 hosts and `a` has 3 | {hint}")]
    );
}

#[test]
fn groups_are_checked() {
    let hint = "name a profile, a host of one, @group or a glob";
    let table: &[(&str, &[String])] = &[
        ("all = [\"local\", \"db*\"]", &[]),
        ("all = \"local db*\"", &[]),
        ("all = [\"web\"]", &[format!("2:8 group.all: `web` is neither a profile nor a host of one | {hint}")]),
        ("all = [\"local\", \"@al\"]", &[format!("2:17 group.all: there is no group `@al`; did you mean `@all`? | {hint}")]),
        ("all = [\"local\", 3]", &[format!("2:17 group.all: a member must be a text, not an integer | {hint}")]),
        ("all = [\"loc[\"]", &[format!("2:8 group.all: `loc[`: unbalanced bracket; write ranges like `[1-5,9]` | {hint}")]),
        ("all = []", &["2:7 group.all: a group must be a list of its members, not an empty list | write all = [\"web\", \"db*\"]".into()]),
        ("all = { a = 1 }", &["2:7 group.all: a group must be a list of its members, not a table | write all = [\"web\", \"db*\"]".into()]),
        ("all = [\"!local\"]", &["2:7 group.all: a group must have members before it can leave some out | name what to take them from, such as \"*\"".into()]),
        ("\"@all\" = [\"local\"]", &["2:1 group.@all: a name cannot have `@` in it | use letters, digits, `-`, `_` and `.`".into()]),
    ];
    for (text, expected) in table {
        assert_eq!(brief(&format!("[group]\n{text}")), *expected, "{text}");
    }
    // A member may be a machine of the profile that has a fault: one fault, not two.
    let text = "[profile.web]\nmethod = \"ssh\"\nport = \"x\"\nhostname = \"web[1-3]\"\n[group]\nall = [\"web1\", \"web\"]";
    assert_eq!(brief(text), ["3:8 profile.web.port: ssh: must be an integer, not a string"]);
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let forms = "write { env = \"NAME\" }, { command = [\"PROGRAM\", \"ARG\"] }, { file = \"PATH\" } or { prompt = true }";
    let table = [
        ("3", format!("cannot be a secret | {forms}")),
        ("{ }", format!("a secret has exactly one source | {forms}")),
        ("{ env = \"A\", prompt = true }", format!("a secret has exactly one source | {forms}")),
        ("{ evn = \"A\" }", "`evn` is no source of secrets | did you mean `env`?".to_owned()),
        ("{ vault = \"A\" }", format!("`vault` is no source of secrets | {forms}")),
        ("{ env = \"\" }", format!("`env` must be the name of an environment variable | {forms}")),
        ("{ env = 3 }", format!("`env` must be the name of an environment variable | {forms}")),
        (
            "{ command = \"pass x\" }",
            format!("`command` must be a list of texts, the first of them a program | {forms}"),
        ),
        (
            "{ command = [] }",
            format!("`command` must be a list of texts, the first of them a program | {forms}"),
        ),
        ("{ prompt = false }", format!("`prompt` must be true, or a question | {forms}")),
        ("{ file = [\"x\"] }", format!("`file` must be the path of a file | {forms}")),
    ];
    for (value, expected) in table {
        let found = brief(&format!("[profile.a]\nmethod = \"ssh\"\npassword = {value}"));
        assert_eq!(found.len(), 1, "{value}: {found:?}");
        assert!(found[0].ends_with(&expected), "{value}: {found:?}");
    }
    let text = "[profile.a]\nmethod = \"ssh\"\npassword = \"hunter2\"\n";
    assert!(parse(text).is_ok());
    let shared = Source::from_text("m.toml", text).shared_with_others();
    let found = Inventory::parse(&shared, &registry()).unwrap_err().to_string();
    assert_eq!(
        found,
        format!(
            "m.toml:3:12: profile.a.password: a password in a file that others can read\n  \
             3 | password = ********\n    |            ^^^^^^^^\n    = chmod 600 m.toml; or {forms}"
        )
    );
    let reference = text.replace("\"hunter2\"", "{ env = \"X\" }");
    let shared = Source::from_text("m.toml", reference).shared_with_others();
    assert!(Inventory::parse(&shared, &registry()).is_ok());
}
