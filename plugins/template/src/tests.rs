//! Templates: what they become, and what is refused.

use mitogen_core::connect::testing::check_option_errors;
use mitogen_core::connect::{ChildCommand, Plan, Stdio};
use mitogen_core::dialogue::{Action, Engine, FailureKind, Source, Step as Done};
use serde_json::{Map, Value, json};

use crate::{Fault, Template};

fn table(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(table) => table,
        other => panic!("not a table: {other}"),
    }
}

fn template(value: Value) -> Template {
    Template::read("tool", &table(value)).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(value: Value) -> Vec<String> {
    Template::read("tool", &table(value)).unwrap_err().iter().map(Fault::to_string).collect()
}

fn plan(template: &Template, options: Value) -> Plan {
    let child = ChildCommand::new(["python3", "-c", "it's"]);
    let plan = template.kind().create(options).and_then(|tool| tool.plan(&child)).unwrap();
    plan.validate().unwrap();
    plan
}

#[test]
fn options_become_words_of_the_command_line() {
    let tool = template(json!({
        "argv": [
            "tool", ["-p", "{port}"], {"when": "tty", "args": ["-t"], "else": ["-T"]}, "{args...}",
            {"when": "username", "args": ["{username}@{hostname}"], "else": ["{hostname}"]}, "--", "{child...}",
        ],
        "options": {
            "hostname": {"type": "string", "required": true},
            "username": "string",
            "port": {"type": "integer", "min": 1, "max": 65535},
            "tty": "boolean",
            "args": "strings",
        },
    }));
    let argv = |options| plan(&tool, options).argv().join(" ");
    assert_eq!(argv(json!({"hostname": "a"})), "tool -T a -- python3 -c it's");
    let all = json!({"hostname": "a", "username": "u", "port": 5, "tty": true, "args": ["-v", "-w x"]});
    assert_eq!(argv(all), "tool -p 5 -t -v -w x u@a -- python3 -c it's");
    assert_eq!(argv(json!({"hostname": "a", "tty": false})), "tool -T a -- python3 -c it's");
    assert_eq!(plan(&tool, json!({"hostname": "a"})).name, "tool.a");
}

#[test]
fn arrays_repeat_a_word_and_alternatives_choose_a_value() {
    let tool = template(json!({
        "argv": ["tool", "--env={env...}", ["-u", "{user|login}"], "{container|hostname}", "{child...}"],
        "options": {
            "hostname": "string", "container": "string", "user": "string", "login": "string",
            "env": "strings",
        },
        "name": "tool.{container|hostname}",
    }));
    let argv = |options| {
        let plan = plan(&tool, options);
        (plan.name.clone(), plan.argv()[1..plan.argv().len() - 3].join(" "))
    };
    assert_eq!(argv(json!({"hostname": "h"})), ("tool.h".into(), "h".into()));
    let all = json!({"hostname": "h", "container": "c", "login": "l", "env": ["A=1", "B=-2"]});
    assert_eq!(argv(all), ("tool.c".into(), "--env=A=1 --env=B=-2 -u l c".into()));
    let error = tool.kind().create(json!({})).unwrap_err();
    assert_eq!(error.key.as_deref(), Some("container"));
}

#[test]
fn values_cannot_become_flags() {
    let tool = template(json!({
        "argv": ["tool", "--user={user}", "{hostname}", "{child...}"],
        "options": {"hostname": {"type": "string", "required": true}, "user": {"type": "string", "default": "root"}},
    }));
    let table = [
        (json!({"hostname": "-oProxyCommand=x"}), "hostname"),
        (json!({"hostname": ""}), "hostname"),
        (json!({"hostname": "a\nb"}), "hostname"),
        (json!({}), "hostname"),
        (json!({"hostname": "a", "usr": "b"}), "usr"),
        (json!({"hostname": "a", "connect_timeout": "x"}), "connect_timeout"),
    ];
    check_option_errors(&tool.kind(), &table).unwrap();
    assert_eq!(plan(&tool, json!({"hostname": "a", "user": "-x"})).argv()[1], "--user=-x");
}

#[test]
fn the_command_is_quoted_as_often_as_it_is_read() {
    let words = |quote: Value, item: &str| {
        let tool = template(json!({"argv": ["tool", item], "quote": quote}));
        plan(&tool, json!({})).argv()[1..].to_vec()
    };
    assert_eq!(words(json!("none"), "{child...}"), ["python3", "-c", "it's"]);
    let once = r"python3 -c 'it'\''s'";
    assert_eq!(words(json!("shell"), "{child...}"), [once]);
    assert_eq!(words(json!("shell"), "-c={child...};"), [format!("-c={once};")]);
    let json_text = words(json!(["shell", "json"]), "{{\"command\":[{child...}]}}");
    let read: Value = serde_json::from_str(&json_text[0]).unwrap();
    assert_eq!(read, json!({"command": [once]}));
    // Two shells that read it one after the other.
    let twice = words(json!(["shell", "shell"]), "{child...}");
    let printed = |word: &str| {
        let line = format!("for word in {word}; do printf '%s\\0' \"$word\"; done");
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(line).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(printed(&twice[0]), format!("{once}\0"));
    assert_eq!(printed(once), "python3\0-c\0it's\0");
}

/// A shell that reads the command also reads what stands beside it.
#[test]
fn values_beside_a_quoted_command_are_quoted_like_it() {
    let tool = template(json!({
        "argv": ["tool", "cd {dir} && {child...}"],
        "quote": "shell",
        "options": {"dir": {"type": "string", "required": true}},
    }));
    for dir in ["/a b", "x; touch y", "it's", "$(id)", "\"", "a\tb"] {
        let word = plan(&tool, json!({"dir": dir})).argv()[1].clone();
        let line = format!("cd() {{ printf '%s' \"$1\"; }}; python3() {{ :; }}; {word}");
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(line).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), dir, "{word}");
    }
}

#[test]
fn the_command_and_its_conditions_cannot_get_lost() {
    let with = |argv: Value| {
        faults(json!({
            "argv": argv, "quote": "shell", "options": {"args": "strings", "pw": "secret"},
        }))
    };
    for (argv, part) in [
        (json!(["tool", "{args...} {child...}"]), "cannot stand beside an array"),
        (json!(["tool", "{child...} {child...}"]), "more than once"),
        (json!(["tool", {"when": "pw", "args": ["-p"]}, "{child...}"]), "is a secret"),
    ] {
        let found = with(argv);
        assert!(found.iter().any(|fault| fault.contains(part)), "{part}: {found:?}");
    }
    // An array without items is not given.
    let tool = template(json!({
        "argv": ["tool", ["-o", "{args...}"], "host", "{child...}"],
        "options": {"args": {"type": "strings", "default": []}},
    }));
    assert_eq!(plan(&tool, json!({})).argv()[1], "host");
    assert_eq!(plan(&tool, json!({"args": ["x"]})).argv()[1..4], ["-o", "x", "host"]);
}

#[test]
fn everything_else_of_a_plan_can_be_set() {
    let tool = template(json!({
        "argv": ["tool", "{child...}"],
        "options": {"hostname": "string", "region": "string", "password": "secret"},
        "name": "t.{hostname}", "destination": "{region}:443", "stdio": "hybrid_tty", "preamble": "after_marker",
        "keepalive": true, "stage": "authenticate",
        "env": {"REGION": "{region}", "TERM": "dumb", "LANG": false},
    }));
    let less = plan(&tool, json!({}));
    assert_eq!((less.name.as_str(), less.destination.as_deref()), ("tool", None));
    let less_env = &less.spawn().unwrap().env;
    assert_eq!(less_env.keys().collect::<Vec<_>>(), ["LANG", "TERM"]);
    let options = json!({"hostname": "a", "region": "eu", "password": "hunter2", "connect_timeout": 2.5});
    let more = plan(&tool, options);
    assert_eq!((more.name.as_str(), more.destination.as_deref()), ("t.a", Some("eu:443")));
    assert_eq!(more.spawn().unwrap().stdio, Stdio::HybridTty);
    assert_eq!(more.spawn().unwrap().env["REGION"].as_deref(), Some("eu"));
    assert_eq!(more.timeout.as_secs_f64(), 2.5);
    assert!(more.keepalive.is_some());
    let data = serde_json::to_value(&more).unwrap();
    assert_eq!(data["preamble"], json!("after_marker"));
    assert!(!format!("{more:?}{}", more.describe()).contains("hunter2"));
}

fn asking(options: Value) -> Plan {
    let tool = template(json!({
        "argv": ["tool", "{child...}"],
        "stdio": "hybrid_tty",
        "options": {"password": "secret", "code": "secret"},
        "rules": [
            {"pattern": "password: $", "ignore_case": true, "source": "diag", "send_secret": "password"},
            {"pattern": "code: $", "source": "diag", "send_secret": "code"},
            {"pattern": "\\(yes/no\\)\\? $", "send": "yes\n"},
        ],
        "exits": [{"pattern": "denied", "fail": {"kind": "not_permitted", "message": "denied by the proxy"}}],
    }));
    plan(&tool, options)
}

/// What the dialogue does with text on the stderr channel.
fn steps(plan: &Plan, texts: &[&str]) -> Vec<String> {
    let mut engine = Engine::new(&plan.dialogue, &plan.secrets);
    let mut done = Vec::new();
    for text in texts {
        for step in engine.feed(Source::Diag, text.as_bytes()) {
            match step {
                Done::Write { data, .. } => done.push(String::from_utf8_lossy(&data).trim_end().to_owned()),
                Done::Fail(failure) => done.push(format!("{:?}", failure.kind)),
                _ => {}
            }
        }
    }
    done
}

#[test]
fn prompts_are_answered_once_each() {
    let both = asking(json!({"password": "p1", "code": "c1"}));
    assert_eq!(steps(&both, &["go on (yes/no)? ", "\nPassword: ", "\ncode: "]), ["yes", "p1", "c1"]);
    assert_eq!(steps(&both, &["code: ", "\npassword: "]), ["c1", "p1"]);
    assert_eq!(steps(&both, &["password: ", "\npassword: "]), ["p1", "PasswordIncorrect"]);
    assert_eq!(steps(&both, &["code: ", "\npassword: ", "\ncode: "]), ["c1", "p1", "PasswordIncorrect"]);
    let one = asking(json!({"password": "p1"}));
    assert_eq!(steps(&one, &["password: ", "\ncode: "]), ["p1", "PasswordRequired"]);
    assert_eq!(one.dialogue.exits[0].failure.kind, FailureKind::NotPermitted);
    let answers = both.dialogue.rules.iter().filter(|rule| matches!(rule.action, Action::SendSecret(_)));
    assert!(answers.clone().count() > 0 && answers.into_iter().all(|rule| rule.next.is_some()));
}

#[test]
fn faults_name_the_place() {
    let child = "{child...}";
    let table = [
        (json!({}), "a transport needs `argv`"),
        (json!({"argv": "tool"}), "argv: expected an array, found a string"),
        (json!({"argv": ["tool"]}), "argv: the child's command is missing"),
        (json!({"argv": []}), "argv: the child's command is missing"),
        (json!({"argv": [child]}), "argv[0]: the first item is the program"),
        (json!({"argv": ["t", child, child]}), "argv: the child's command stands here more than once"),
        (json!({"argv": ["t", "{child}"]}), "argv[1]: `{child}` is written `{child...}`"),
        (json!({"argv": ["t", "x{child...}"]}), "argv[1]: the child's command is several words here"),
        (
            json!({"argv": ["t", ["{x}", child]], "options": {"x": "string"}}),
            "argv[1]: the child's command cannot",
        ),
        (json!({"argv": ["t", "{hst}", child], "options": {"hosts": "string"}}), "argv[1]: no option `hst`"),
        (
            json!({"argv": ["t", 5, child]}),
            "argv[1]: expected a string, an array or a table, found an integer",
        ),
        (
            json!({"argv": ["t", "{x", child], "options": {"x": "string"}}),
            "argv[1]: a `{` without its counterpart",
        ),
        (json!({"argv": ["t", "x}", child]}), "argv[1]: a `}` without its counterpart"),
        (json!({"argv": ["t", ["-v"], child]}), "argv[1]: an array within `argv`"),
        (json!({"argv": ["t", {"when": "x", "args": []}, child]}), "argv[1].when: no option `x`"),
        (json!({"argv": ["t", {"whn": "x"}, child]}), "argv[1].whn: unknown key; did you mean `when`?"),
        (json!({"argv": ["t", "{x}", child], "options": {"x": "strings"}}), "argv[1]: `x` is an array"),
        (json!({"argv": ["t", "{x...}", child], "options": {"x": "string"}}), "argv[1]: `x` is not an array"),
        (json!({"argv": ["t", "{x}", child], "options": {"x": "secret"}}), "argv[1]: `x` is a secret"),
        (
            json!({"argv": ["t", child], "env": {"A": "{x}"}, "options": {"x": "secret"}}),
            "env.A: `x` is a secret",
        ),
        (
            json!({"argv": ["t", "{x}", child], "options": {"x": "string"}}),
            "no plan can be made with the required",
        ),
        (json!({"argv": ["t\0", child]}), "argv[0]: must not contain NULs"),
        (json!({"argv": ["t", child], "qoute": "shell"}), "qoute: unknown key; did you mean `quote`?"),
        (json!({"argv": ["t", child], "quote": "csh"}), "quote: unknown way to quote: `csh`"),
        (json!({"argv": ["t", child], "quote": ["json"]}), "quote: the first level is `shell`"),
        (json!({"argv": ["t", child], "stdio": "pty"}), "stdio: unknown value `pty`"),
        (
            json!({"argv": ["t", child], "keepalive": 5}),
            "keepalive: expected true or false, found an integer",
        ),
        (json!({"argv": ["t", child], "env": {"A=B": "x"}}), "start.spawn.env.A=B"),
        (json!({"argv": ["t", child], "options": {"x": "text"}}), "options.x.type: unknown type `text`"),
        (json!({"argv": ["t", child], "options": {"X": "string"}}), "options.X: this cannot be the name"),
        (json!({"argv": ["t", child], "options": {"x": {"type": "enum"}}}), "options.x: an enum has"),
        (
            json!({"argv": ["t", child], "options": {"x": {"type": "string", "min": 1}}}),
            "options.x.min: only options",
        ),
        (
            json!({"argv": ["t", child], "options": {"x": {"type": "integer", "default": "a"}}}),
            "options.x.default: must",
        ),
        (
            json!({"argv": ["t", child], "options": {"connect_timeout": "string"}}),
            "every transport has this option",
        ),
        (
            json!({"argv": ["t", child], "rules": [{"pattern": "("}]}),
            "rules[0].pattern: not a regular expression",
        ),
        (
            json!({"argv": ["t", child], "rules": [{"pattern": "a"}]}),
            "rules[0]: a rule does exactly one thing",
        ),
        (
            json!({"argv": ["t", child], "rules": [{"pattern": "a", "send_secret": "x"}]}),
            "rules[0].send_secret: no option",
        ),
        (
            json!({"argv": ["t", child], "rules": [{"pattern": "a", "pass": true, "state": "b"}]}),
            "rules[0].state: no rule",
        ),
        (
            json!({"argv": ["t", child], "options": {"x": "secret"}, "rules": [
                {"pattern": "a", "send_secret": "x"}, {"pattern": "b", "pass": true, "next": "c"}]}),
            "rules[0]: a prompt that shows again",
        ),
        (
            json!({"argv": ["t", child], "exits": [{"pattern": "a", "fail": {"kind": "odd", "message": "m"}}]}),
            "exits[0].fail.kind",
        ),
        (
            json!({"argv": ["t", child], "exits": [{"fail": {"kind": "eof", "message": "m"}}]}),
            "exits[0]: an exit needs",
        ),
        (json!({"argv": ["t", child], "exits": {}}), "exits: expected an array of tables, found a table"),
        (
            json!({"argv": ["t", child], "stdio": "tty", "rules": [{"pattern": "a", "source": "diag", "pass": true}]}),
            "no stderr channel",
        ),
    ];
    for (value, wanted) in table {
        let found = faults(value.clone());
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{value}: {found:?} has no {wanted}");
    }
    // All at once.
    assert_eq!(
        faults(json!({"argv": ["t", "{a}", "{b}", "{child...}"], "stdio": "x", "colour": 1})).len(),
        1
    );
    assert_eq!(faults(json!({"argv": ["t", "{a}", "{b}", "{child...}"], "stdio": "x"})).len(), 3);
}
