//! `call`, `ping`, `plan`, `--check`, log options and profile errors.

use serde_json::json;

use super::scene::Scene;

#[test]
fn functions_take_and_return_json() {
    let scene = Scene::new();
    let call = |arguments: &[&str]| {
        let done = scene.run(&[&["call", "local"], arguments].concat());
        (done.status, done.text().to_owned(), done.err)
    };
    let table: &[(&[&str], &str)] = &[
        (&["os.path.join", "\"a\"", "\"é\""], "\"a/é\"\n"),
        (
            &["json.dumps", "{\"b\": [1, null], \"a\": true}", "sort_keys=true"],
            "\"{\\\"a\\\": true, \\\"b\\\": [1, null]}\"\n",
        ),
        (&["operator.mul", "4294967296", "4294967296"], "\"18446744073709551616\"\n"),
        (&["operator.neg", "9223372036854775807"], "-9223372036854775807\n"),
        (&["operator.add", "18446744073709551614", "1"], "18446744073709551615\n"),
        (&["math.sqrt", "2.25"], "1.5\n"),
        (&["divmod.x"], ""),
        (&["codecs.encode", "\"/w==\"", "\"utf-8\""], "\"/w==\"\n"),
        (&["binascii.a2b_base64", "\"/w==\""], "{\"base64\":\"/w==\"}\n"),
        (&["os.path.split", "\"/a/b\""], "[\"/a\",\"b\"]\n"),
    ];
    for (arguments, expected) in table {
        let (status, out, err) = call(arguments);
        if expected.is_empty() {
            assert_eq!((status, out.as_str()), (3, ""), "{arguments:?}");
            continue;
        }
        assert_eq!((status, out.as_str(), err.as_str()), (0, *expected, ""), "{arguments:?}");
    }
    let (status, out, err) = call(&["os.path.join", "a"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("a string is written as '\"a\"'"), "{err}");
}

#[test]
fn exceptions_are_printed_with_their_traceback() {
    let scene = Scene::new();
    let done = scene.run(&["call", "n[01-02]", "--json", "json.loads", "\"{\""]);
    assert_eq!((done.status, done.err.as_str()), (3, ""));
    let done = scene.run(&["call", "local", "json.loads", "\"{\""]);
    assert_eq!((done.status, done.text()), (3, ""));
    assert!(done.err.starts_with("Traceback (most recent call last):\n  File "), "{}", done.err);
    let told = "\nmitogen: 1 failed\n  local: raised json.decoder.JSONDecodeError: Expecting property name";
    assert!(done.err.contains(told), "{}", done.err);
}

#[test]
fn values_are_folded_like_output() {
    let scene = Scene::new();
    let done = scene.run(&["call", "--fold", "n[01-04],deep/d1", "os.path.basename", "\"/x/y\""]);
    let rule = "---------------";
    assert_eq!(done.text(), format!("{rule}\nn[01-04],d1 (5)\n{rule}\n\"y\"\n"));
}

#[test]
fn ping_prints_connection_and_round_trip_times() {
    let scene = Scene::new();
    let done = scene.run(&["ping", "n[01-02],deep/d1,broken/b1"]);
    assert_eq!(done.status, 4, "{}", done.err);
    let lines = done.sorted();
    let hosts: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(hosts, ["d1:", "n01:", "n02:"]);
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(
            [&words[1..3], &words[4..7], &words[8..]].concat(),
            ["connected", "in", "s,", "round", "trip", "ms"],
            "{line}"
        );
        assert!(words[3].parse::<f64>().is_ok() && words[7].parse::<f64>().is_ok(), "{line}");
    }
    let done = scene.run(&["ping", "--json", "local"]);
    let events = done.events();
    assert!(events[0]["value"]["connect"].is_f64() && events[0]["value"]["call"].is_f64(), "{events:?}");
}

const BECOME: &str = r#"
[profile.web]
method = "ssh"
hostname = "web[01-02].example.org"
username = "deploy"
python = ["/usr/bin/python3"]

[profile.web-root]
method = "sudo"
via = "web"
password = { prompt = true }
"#;

#[test]
fn plans_are_shown_without_asking_for_secrets() {
    let scene = Scene::with(BECOME);
    let done = scene.run(&["plan", "web01.example.org,web-root"]);
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    // Rules and known failures are long, and tested where they are defined.
    let keep = |line: &&str| !line.contains(" rule  ") && !line.contains(" known failure ");
    let cut = |line: &str| line.split(" /usr/bin/python3 ").next().unwrap().to_owned();
    let text: Vec<String> = done.text().lines().filter(keep).map(cut).collect();
    let expected = "\
web01.example.org
  1. ssh.web01.example.org (by ssh)
     command       SSH
     stdio         socket pair for input and output, pipe for errors
     bootstrap     sent at once
     timeout       30 s
     environment   DISPLAY removed
     environment   SSH_ASKPASS removed
     environment   SSH_ASKPASS_REQUIRE=never
     environment   WAYLAND_DISPLAY removed
     concurrency   at most 8 handshakes with web01.example.org:22
     keep-alive    lost when silent, noticed within 75 s
web-root/web01.example.org
  1. ssh.web01.example.org: see above
  2. ssh.web01.example.org.sudo.root (by sudo)
     command       sudo -p mitogen-sudo-prompt: -u root --
     stdio         socket pair for input and output, terminal for errors and prompts
     bootstrap     sent at once
     timeout       30 s
     secret        password = ********
web-root/web02.example.org
  1. ssh.web02.example.org (by ssh)
     command       SSH
     stdio         socket pair for input and output, pipe for errors
     bootstrap     sent at once
     timeout       30 s
     environment   DISPLAY removed
     environment   SSH_ASKPASS removed
     environment   SSH_ASKPASS_REQUIRE=never
     environment   WAYLAND_DISPLAY removed
     concurrency   at most 8 handshakes with web02.example.org:22
     keep-alive    lost when silent, noticed within 75 s
  2. ssh.web02.example.org.sudo.root (by sudo)
     command       sudo -p mitogen-sudo-prompt: -u root --
     stdio         socket pair for input and output, terminal for errors and prompts
     bootstrap     sent at once
     timeout       30 s
     secret        password = ********
";
    let ssh = |line: String| {
        if line.contains("command       ssh ") { "     command       SSH".to_owned() } else { line }
    };
    let text: Vec<String> = text.into_iter().map(ssh).collect();
    assert_eq!(text.join("\n") + "\n", expected);

    let done = scene.run(&["plan", "--json", "web-root/web01.example.org"]);
    let line: serde_json::Value = serde_json::from_str(done.text()).unwrap();
    assert_eq!(line["host"], "web-root/web01.example.org");
    assert_eq!(line["plans"][1]["secrets"], json!({"password": "********"}));
    assert_eq!(line["plans"][0]["method"], "ssh");

    let done = scene.run(&["plan", "-v", "web-root/web01.example.org"]);
    assert!(done.text().contains("username = \"deploy\""), "{}", done.text());
    assert!(done.text().contains("# mitogen.toml:"), "{}", done.text());
}

#[test]
fn a_plan_shows_when_a_silent_link_is_given_up() {
    let scene = Scene::with(
        "[profile.a]\nmethod = \"local\"\nkeepalive = { interval = 2, count = 3 }\n\
         [profile.b]\nmethod = \"sudo\"\nkeepalive = 15\n\
         [profile.c]\nmethod = \"ssh\"\nhostname = \"c.example.org\"\nkeepalive = false\n\
         [profile.d]\nmethod = \"su\"\n",
    );
    let said = |target: &str| {
        let done = scene.run(&["plan", "-v", target]);
        assert_eq!((done.status, done.err.as_str()), (0, ""));
        let of_interest = |line: &&str| line.contains("keep-alive") || line.contains(" keepalive = ");
        let words =
            |line: &str| line.split('#').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        done.text().lines().filter(of_interest).map(words).collect::<Vec<_>>()
    };
    let a = ["keep-alive lost when silent, noticed within 10 s", "keepalive = { interval = 2, count = 3 }"];
    let mut found = said("a");
    found.sort();
    assert_eq!(found, a);
    assert!(said("b").contains(&"keep-alive lost when silent, noticed within 75 s".to_owned()));
    assert_eq!(said("c.example.org"), ["keepalive = false"]);
    assert_eq!(said("d"), Vec::<String>::new());
}

#[test]
fn a_stopped_context_is_given_up_when_its_profile_says_so() {
    let scene = Scene::with("[profile.a]\nmethod = \"local\"\nkeepalive = { interval = 0.2, count = 2 }\n");
    // The parent of the command is the context.
    let done = scene.run(&["run", "a", "--", "kill -STOP $PPID"]);
    assert_eq!(done.status, 4, "{}", done.err);
    assert!(done.err.contains("no traffic for 0.6"), "{}", done.err);
}

#[test]
fn a_missing_secret_is_reported_before_anything_is_started() {
    let scene = Scene::with("[profile.x]\nmethod = \"sudo\"\npassword = { env = \"NOT_SET\" }\n");
    let done = scene.run(&["run", "n01,x", "--", "touch happened"]);
    assert_eq!((done.status, done.text()), (2, ""));
    let expected = "mitogen: x/x: cannot get the secret from environment variable NOT_SET: it is not set";
    assert!(done.err.starts_with(expected), "{}", done.err);
    assert!(!scene.path().join("happened").exists());
}

#[test]
fn check_shows_what_would_be_done_and_does_nothing() {
    let scene = Scene::with(BECOME);
    let done = scene.run(&["run", "-C", "-K", "web-root/web01.example.org", "--", "touch", "it happened"]);
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    assert!(
        done.text().ends_with("\n  then run touch 'it happened', without standard input\n"),
        "{}",
        done.text()
    );
    let done = scene.run(&["run", "-C", "n01", "--", "touch", "happened"]);
    assert_eq!(done.status, 0);
    assert!(!scene.path().join("happened").exists());
    let done = scene.run(&["call", "-C", "n01", "os.mkdir", "\"happened\"", "mode=1"]);
    assert!(done.text().ends_with("\n  then call os.mkdir(\"happened\", mode=1)\n"), "{}", done.text());
    assert!(!scene.path().join("happened").exists());
    let done = scene.run(&["ping", "-C", "--json", "n[01-02]"]);
    assert_eq!(done.events().len(), 2);
}

#[test]
fn messages_are_logged_where_the_options_say() {
    let scene = Scene::new();
    let quiet = scene.run(&["run", "local", "--", "true"]);
    assert_eq!(quiet.err, "");
    // What children log comes here, if it is loud enough.
    let call = |option, level: &str| {
        let function = format!("logging.{level}");
        let done = scene.run(&["call", option, "local", &function, "\"from afar\""]);
        (done.text() == "null\n", done.err.contains("from afar"))
    };
    assert_eq!(call("--no-fold", "warning"), (true, true));
    assert_eq!(call("-q", "warning"), (true, false));
    assert_eq!(call("--no-fold", "info"), (true, false));
    assert_eq!(call("-v", "info"), (true, true));
    let loud = scene.run(&["-vv", "run", "local", "--debug-log", "logs", "--", "true"]);
    assert!(loud.err.contains("DEBUG"), "{}", loud.err);
    let files: Vec<_> = std::fs::read_dir(scene.path().join("logs")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().into_string().unwrap();
    assert!(name.starts_with("mitogen.") && name.ends_with(".log"), "{name}");
    assert!(std::fs::read_to_string(files[0].path()).unwrap().contains("DEBUG"));
}

#[test]
fn profile_errors_end_every_subcommand() {
    let scene = Scene::with("[profile.x]\nmethod = \"lcoal\"\n");
    for arguments in [
        &["profiles", "check"][..],
        &["run", "n01", "--", "true"],
        &["plan", "n01"],
        &["ping", "n01"],
        &["call", "n01", "os.getpid"],
    ] {
        let done = scene.run(arguments);
        assert_eq!((done.status, done.text()), (2, ""), "{arguments:?}");
        assert!(done.err.contains("did you mean `local`?"), "{}", done.err);
    }
}
