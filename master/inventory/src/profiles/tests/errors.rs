//! Errors and warnings: their positions and texts, and that all are reported at once.

use super::*;

/// The errors in a file in their display form.
fn shown(text: &str) -> Vec<String> {
    parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

/// The errors in a file as `line:column key: message | hint`.
fn brief(text: &str) -> Vec<String> {
    let found = match parse(text) {
        Ok(_) => return Vec::new(),
        Err(found) => found.0,
    };
    let line = |error: &Diagnostic| {
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
        let key = error.key.as_deref().unwrap_or("-");
        format!("{}:{} {key}: {}{hint}", error.line, error.column, error.message)
    };
    found.iter().map(line).collect()
}

use crate::profiles::Diagnostic;

#[test]
fn an_error_shows_its_line_and_a_hint() {
    let text = "[profile.web]\nmethod = \"ssh\"\nusrname = \"deploy\"\n";
    assert_eq!(
        shown(text),
        ["m.toml:3:1: profile.web.usrname: unknown key for method `ssh`\n  \
          3 | usrname = \"deploy\"\n    | ^^^^^^^\n    = did you mean `username`?"]
    );
}

#[test]
fn all_errors_are_reported_at_once() {
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
            "2:2 profiles: unknown top-level key | did you mean `profile`?",
            "4:1 defaults.fork: unknown key | did you mean `forks`?",
            "5:9 defaults.forks: expected a number of targets, found 0 | write forks = 50; at least 1",
            "8:8 profile.web.port: ssh: must be an integer, not a string",
            "9:15 profile.web.compression: ssh: must be true or false, not a string",
            "10:1 profile.web.usrname: unknown key for method `ssh` | did you mean `username`?",
            "11:11 profile.web.timeout: expected a number of seconds, found 0 | write timeout = 30; at most 86400",
            "12:7 profile.web.via: no profile named `gate` | add [profile.gate] or use the name of an existing profile",
            "14:10 profile.db.method: unknown method `shh` | did you mean `ssh`?",
        ]
    );
}

#[test]
fn keepalive_is_a_boolean_seconds_or_a_table() {
    const FORMS: &str = "write keepalive = false, true, a number of seconds, or { interval = 15, count = 3 }";
    let table = [
        ("true", None),
        ("false", None),
        ("0.5", None),
        ("86400", None),
        ("{ interval = 5 }", None),
        ("{ count = 1000 }", None),
        ("\"15\"", Some("expected a boolean, a number of seconds or a table, found a string")),
        ("[15, 3]", Some("expected a boolean, a number of seconds or a table, found an array")),
        ("0", Some("expected a number of seconds above 0 and at most 86400, found 0")),
        ("86401", Some("expected a number of seconds above 0 and at most 86400, found 86401")),
        (
            "{ interval = \"5\" }",
            Some("`interval`: expected a number of seconds above 0 and at most 86400, found a string"),
        ),
        ("{ count = 0 }", Some("`count`: expected a number of probes from 1 to 1000, found 0")),
        ("{ count = 1.5 }", Some("`count`: expected a number of probes from 1 to 1000, found 1.5")),
        ("{ seconds = 5 }", Some("unknown key `seconds`")),
    ];
    for (value, error) in table {
        let expected = |key: &str| -> Vec<String> {
            error.iter().map(|error| format!("2:13 {key}: {error} | {FORMS}")).collect()
        };
        let found = brief(&format!("[profile.sudo]\nkeepalive = {value}\nmethod = \"sudo\"\n"));
        assert_eq!(found, expected("profile.sudo.keepalive"), "{value}");
        let found = brief(&format!("[defaults]\nkeepalive = {value}\n"));
        assert_eq!(found, expected("defaults.keepalive"), "{value}");
    }
}

#[test]
fn syntax_errors_are_placed() {
    let found = shown("[profile.web]\nmethod = \"ssh\"\npassword = \"hunter2\nx = \n");
    assert!(found[0].starts_with("m.toml:3:"), "{found:?}");
    assert!(found[1].starts_with("m.toml:4:"), "{found:?}");
    assert!(!found.concat().contains("hunter2"), "{found:?}");
    assert!(shown("[profile.web\n")[0].starts_with("m.toml:1:13: unclosed table"));
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
                "1:11 profile: expected a table, found an integer | write [defaults], [profile.NAME], [group], [transport.NAME] or [plugins] on a line of its own",
            ],
        ),
        (
            "[profile]\nweb = 3",
            &[
                "2:7 profile.web: expected a table, found an integer | write [profile.web] on a line of its own and its keys below",
            ],
        ),
        (
            "[profile.\"a b\"]\nmethod = \"ssh\"",
            &["1:10 profile.a b: a name cannot contain ` ` | use letters, digits, `-`, `_` and `.`"],
        ),
        (
            "[profile.-a]\nmethod = \"ssh\"",
            &["1:10 profile.-a: a name cannot begin with a dash | use letters, digits, `-`, `_` and `.`"],
        ),
        (
            "[profile.a]\nusername = \"x\"",
            &[
                "1:10 profile.a: the profile has no method | add method = \"NAME\"; available methods: docker, local, ssh, sudo",
            ],
        ),
        (
            "[profile.a]\nmethod = 3",
            &[
                "2:10 profile.a.method: expected the name of a method, found an integer | available methods: docker, local, ssh, sudo",
            ],
        ),
        (
            "[profile.a]\nmethod = \"telnet\"",
            &["2:10 profile.a.method: unknown method `telnet` | available methods: docker, local, ssh, sudo"],
        ),
        (
            "[profile.local]\nmethod = \"ssh\"",
            &[
                "2:10 profile.local.method: the method of profile `local` must be `local` | rename the profile",
            ],
        ),
        (
            "[profile.a]\nmethod = \"sudo\"\nzzzzzz = 1",
            &[
                "3:1 profile.a.zzzzzz: unknown key for method `sudo` | known keys: extends, hostname, keepalive, method, mitogen_package, password, python, sudo_args, timeout, username, via",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nusername = 1979-05-27",
            &["3:12 profile.a.username: dates are not supported | write it as a string, in quotes"],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nssh_args = []",
            &["1:10 profile.a.username: ssh: ssh_args need a username"],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\npython = \" \"",
            &[
                "3:10 profile.a.python: expected an interpreter command line, found an empty string | write python = \"/usr/bin/python3\" or python = [\"/usr/bin/env\", \"python3\"]",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nmitogen_package = \"venv/bin/python\"",
            &[
                "3:19 profile.a.mitogen_package: `venv/bin/python` is not an absolute path | write mitogen_package = \"/opt/venv/bin/python\": a local interpreter that has upstream Mitogen installed, or the directory of the package",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\npython = []",
            &[
                "3:10 profile.a.python: expected an interpreter command line, found an empty array | write python = \"/usr/bin/python3\" or python = [\"/usr/bin/env\", \"python3\"]",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\ntimeout = inf",
            &[
                "3:11 profile.a.timeout: expected a number of seconds, found inf | write timeout = 30; at most 86400",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"x[2-1]\"",
            &[
                "3:12 profile.a.hostname: `x[2-1]`: the start of the range `2-1` is above its end | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"x[0-100000]\"",
            &[
                "3:12 profile.a.hostname: `x[0-100000]` expands to more than 100000 names; use fewer at once | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"root@x\"",
            &["3:12 profile.a.hostname: `root@x` is not a host name | write the user as username = \"...\""],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"-oProxyCommand=x\"",
            &[
                "3:12 profile.a.hostname: `-oProxyCommand=x` is not a host name | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = \"{host}.x\"",
            &[
                "3:12 profile.a.hostname: `{host}.x` is not a host name | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nhostname = 3",
            &[
                "3:12 profile.a.hostname: expected a host name or an array of host names, found 3 | write hostname = \"web[01-20].example.org\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nvia = 3",
            &["3:7 profile.a.via: expected the name of a profile, found an integer | write via = \"NAME\""],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nextends = 3",
            &[
                "3:11 profile.a.extends: expected the name of a profile, found an integer | write extends = \"NAME\"",
            ],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nvia = \"wbe\"\n[profile.web]\nmethod = \"ssh\"",
            &["3:7 profile.a.via: no profile named `wbe` | did you mean `web`?"],
        ),
        (
            "[profile.a]\nextends = \"wbe\"\n[profile.web]\nmethod = \"ssh\"",
            &["2:11 profile.a.extends: no profile named `wbe` | did you mean `web`?"],
        ),
        (
            "[profile.a]\nmethod = \"ssh\"\nvia = \"t\"\n[profile.t]\nport = 1\n[profile.b]\nextends = \"t\"\nmethod = \"ssh\"",
            &[
                "3:7 profile.a.via: profile `t` cannot be used as `via`: it has no method | use a profile that extends it",
            ],
        ),
        (
            "[profile.t]\nport = 22\n[profile.a]\nmethod = \"sudo\"\nextends = \"t\"",
            &[
                "2:1 profile.t.port: unknown key for method `sudo`, which profile `a` uses | known keys: extends, hostname, keepalive, method, mitogen_package, password, python, sudo_args, timeout, username, via",
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
        ["3:7 profile.b.via: `via` cycle: b -> c -> a -> b | remove one of these `via`"]
    );
    assert_eq!(
        brief(&cycle("extends")),
        ["3:11 profile.b.extends: `extends` cycle: b -> c -> a -> b | remove one of these `extends`"]
    );
    assert_eq!(
        brief("[profile.a]\nmethod = \"ssh\"\nvia = \"a\""),
        ["3:7 profile.a.via: `via` cycle: a -> a | remove one of these `via`"]
    );
    assert_eq!(
        brief(
            "[group]\na = [\"@b\"]\nb = [\"@c\", \"local\"]\nc = [\"local !@a\"]\nd = [\"@a\"]\ne = \"@e\""
        ),
        [
            "2:1 group.a: group cycle: @a -> @b -> @c -> @a | remove one of these members",
            "6:1 group.e: group cycle: @e -> @e | remove one of these members",
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
    let hint = "`via` must name a profile with the same hosts, the same number of hosts, or one host";
    assert_eq!(
        brief(&text("a[1-3]", "b[1-2]")),
        [format!("7:7 profile.b.via: `b` has 2 hosts, but its `via` profile `a` has 3 | {hint}")]
    );
    assert_eq!(
        brief(&text("a[1-3]", "a1")),
        [format!("7:7 profile.b.via: `b` has 1 hosts, but its `via` profile `a` has 3 | {hint}")]
    );
}

#[test]
fn groups_are_checked() {
    let hint = "a member is a profile, a host, @group or a glob";
    let table: &[(&str, &[String])] = &[
        ("all = [\"local\", \"db*\"]", &[]),
        ("all = \"local db*\"", &[]),
        ("all = [\"web\"]", &[format!("2:8 group.all: no profile or host named `web` | {hint}")]),
        ("all = [\"local\", \"@al\"]", &[format!("2:17 group.all: no group named `@al`; did you mean `@all`? | {hint}")]),
        ("all = [\"local\", 3]", &[format!("2:17 group.all: expected a string, found an integer | {hint}")]),
        ("all = [\"loc[\"]", &[format!("2:8 group.all: `loc[`: unbalanced bracket; write ranges as `[1-5,9]` | {hint}")]),
        ("all = []", &["2:7 group.all: expected an array of members, found an empty array | write all = [\"web\", \"db*\"]".into()]),
        ("all = { a = 1 }", &["2:7 group.all: expected an array of members, found a table | write all = [\"web\", \"db*\"]".into()]),
        ("all = [\"!local\"]", &["2:7 group.all: the group only excludes members | start with an inclusion, such as \"*\"".into()]),
        ("\"@all\" = [\"local\"]", &["2:1 group.@all: a name cannot contain `@` | use letters, digits, `-`, `_` and `.`".into()]),
    ];
    for (text, expected) in table {
        assert_eq!(brief(&format!("[group]\n{text}")), *expected, "{text}");
    }
    // A member may be a host of the profile that has an error: that is one error, not two.
    let text = "[profile.web]\nmethod = \"ssh\"\nport = \"x\"\nhostname = \"web[1-3]\"\n[group]\nall = [\"web1\", \"web\"]";
    assert_eq!(brief(text), ["3:8 profile.web.port: ssh: must be an integer, not a string"]);
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let forms = "write { env = \"NAME\" }, { command = [\"PROGRAM\", \"ARG\"] }, { file = \"PATH\" } or { prompt = true }";
    let table = [
        ("3", format!("expected a string or a table, found an integer | {forms}")),
        ("{ }", format!("a secret must have exactly one source | {forms}")),
        ("{ env = \"A\", prompt = true }", format!("a secret must have exactly one source | {forms}")),
        ("{ evn = \"A\" }", "unknown secret source `evn` | did you mean `env`?".to_owned()),
        ("{ vault = \"A\" }", format!("unknown secret source `vault` | {forms}")),
        ("{ env = \"\" }", format!("`env` must be the name of an environment variable | {forms}")),
        ("{ env = 3 }", format!("`env` must be the name of an environment variable | {forms}")),
        (
            "{ command = \"pass x\" }",
            format!("`command` must be an array of strings that starts with a program | {forms}"),
        ),
        (
            "{ command = [] }",
            format!("`command` must be an array of strings that starts with a program | {forms}"),
        ),
        ("{ prompt = false }", format!("`prompt` must be true or a string | {forms}")),
        ("{ file = [\"x\"] }", format!("`file` must be the path of a file | {forms}")),
    ];
    for (value, expected) in table {
        let found = brief(&format!("[profile.a]\nmethod = \"ssh\"\npassword = {value}"));
        assert_eq!(found.len(), 1, "{value}: {found:?}");
        assert!(found[0].ends_with(&expected), "{value}: {found:?}");
    }
    let text = "[profile.a]\nmethod = \"ssh\"\npassword = \"hunter2\"\n";
    assert!(parse(text).is_ok());
    let shared = ProfileFile::from_text("m.toml", text).shared_with_others();
    let found = Inventory::parse(&shared, &registry()).unwrap_err().to_string();
    assert_eq!(
        found,
        format!(
            "m.toml:3:12: profile.a.password: a secret in a file that other users can read\n  \
             3 | password = ********\n    |            ^^^^^^^^\n    = run: chmod 600 m.toml; or {forms}"
        )
    );
    let reference = text.replace("\"hunter2\"", "{ env = \"X\" }");
    let shared = ProfileFile::from_text("m.toml", reference).shared_with_others();
    assert!(Inventory::parse(&shared, &registry()).is_ok());
}

#[test]
fn a_renamed_key_is_accepted_with_a_warning() {
    let text = "[profile.base]\nstock = \"/opt/python\"\n[profile.a]\nextends = \"base\"\nmethod = \"ssh\"\n";
    let inventory = parse(text).unwrap();
    let warnings: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["m.toml:2:1: profile.base.stock: the key `stock` is now `mitogen_package`\n  \
          2 | stock = \"/opt/python\"\n    | ^^^^^\n    = write mitogen_package = ..."]
    );
    let target = &inventory.select("a", None).unwrap()[0];
    let hop = inventory.resolve(target, &Overrides::default()).unwrap().hops[0].clone();
    assert_eq!(hop.mitogen_package.as_deref(), Some(Path::new("/opt/python")));
    assert_eq!(hop.origins()["mitogen_package"].to_string(), "m.toml:2");
    let renamed = text.replace("stock", "mitogen_package");
    assert!(parse(&renamed).unwrap().warnings().is_empty());
    let both = text.replace("[profile.a]", "mitogen_package = \"/x\"\n[profile.a]");
    assert_eq!(
        brief(&both),
        ["2:1 profile.base.stock: `stock` and `mitogen_package` are the same key | remove `stock`"]
    );
}
