//! Several targets at once.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use super::scene::Scene;

const RULE: &str = "---------------";

#[test]
fn lines_are_prefixed_and_identical_outputs_folded() {
    let scene = Scene::new();
    let done = scene.run(&["run", "n[01-03]", "--", "echo a; echo b >&2"]);
    assert_eq!((done.status, done.sorted()), (0, vec!["n01: a", "n02: a", "n03: a"]));
    let err: BTreeSet<&str> = done.err.lines().collect();
    assert_eq!(err, BTreeSet::from(["n01: b", "n02: b", "n03: b"]));
    let done = scene.run(&["run", "--fold", "n[01-03],gate", "--", "echo same"]);
    assert_eq!(done.text(), format!("{RULE}\nn[01-03],gate (4)\n{RULE}\nsame\n"));
    let done = scene.run(&["run", "--diff", "n[01-03]", "--", "mkdir only 2>/dev/null && echo x || echo y"]);
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(done.text().starts_with(&format!("{RULE}\nn")), "{}", done.text());
    assert!(done.text().contains("\n-y\n+x\n"), "{}", done.text());
}

#[test]
fn events_are_json_lines() {
    let scene = Scene::new();
    let done = scene.run(&["run", "--json", "n[01-02],broken/b1", "--", "echo a; printf '\\377'; exit 5"]);
    assert_eq!((done.status, done.err.as_str()), (4, ""));
    let events = done.events();
    assert!(events.iter().all(|event| event["schema"] == 1));
    for host in ["n01", "n02"] {
        let mine: Vec<_> = events.iter().filter(|event| event["host"] == host).collect();
        assert_eq!(mine.first().unwrap()["event"], "start");
        let end = mine.last().unwrap();
        assert_eq!((end["event"].as_str(), end["status"].as_i64()), (Some("end"), Some(5)));
        let text: String = mine
            .iter()
            .filter(|event| event["base64"].is_null())
            .filter_map(|event| event["data"].as_str())
            .collect();
        let coded: Vec<_> = mine.iter().filter(|event| event["base64"] == true).collect();
        assert!(
            text == "a\n" && coded.len() == 1 || text.is_empty() && coded[0]["data"] == "YQr/",
            "{mine:?}"
        );
    }
    let lost = events.iter().find(|event| event["outcome"] == "unreachable").unwrap();
    assert_eq!((lost["stage"].as_str(), lost["kind"].as_str()), (Some("spawn"), Some("spawn_failed")));
    let last = events.last().unwrap();
    assert_eq!(
        (last["event"].as_str(), last["exit"].as_i64(), last["hosts"].as_i64()),
        (Some("summary"), Some(4), Some(3))
    );
}

#[test]
fn hops_are_shared_by_the_hosts_behind_them() {
    let scene = Scene::new();
    // The parent of a command is the context's process, whose parent is the hop before it.
    let line = "set -- $(cat /proc/$PPID/stat); echo $PPID $4";
    let done = scene.run(&["run", "--no-fold", "deep,gate", "--", line]);
    assert_eq!(done.status, 0, "{}", done.err);
    let mut contexts = BTreeSet::new();
    let mut gates = BTreeSet::new();
    let mut gate = "";
    for line in done.sorted() {
        let fields: Vec<&str> = line.split(' ').collect();
        if fields[0] == "gate:" {
            gate = fields[1];
        } else {
            contexts.insert(fields[1]);
            gates.insert(fields[2]);
        }
    }
    assert_eq!(contexts.len(), 3);
    assert_eq!(gates, BTreeSet::from([gate]));
}

#[test]
fn a_failed_hop_fails_all_hosts_behind_it_with_its_error() {
    let scene = Scene::new();
    let done = scene.run(&["run", "behind/b1,broken/b1", "--", "true"]);
    assert_eq!((done.status, done.text()), (4, ""));
    let lines: Vec<&str> = done.err.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (3, "mitogen: 2 unreachable", "    all at hop local"));
    let told = "  behind/b1,b1 (2): unreachable: spawn: cannot run \"/nowhere/python\"";
    assert!(lines[1].starts_with(told), "{}", lines[1]);
    let done = scene.run(&["run", "-v", "broken/b1", "--", "true"]);
    assert!(done.err.contains("    local: starting the program: cannot run"), "{}", done.err);
    assert!(done.err.contains("      command: /nowhere/python -S -c"), "{}", done.err);
}

#[test]
fn the_most_severe_failure_is_the_exit_status() {
    let scene = Scene::new();
    let status = |targets: &str, line: &str| {
        let done = scene.run(&["run", "-T", "20", "--command-timeout", "1", targets, "--", line]);
        (done.status, done.err)
    };
    let cases = [
        ("n01", "true", 0),
        ("n[01-02]", "mkdir a || exit 9", 3),
        ("n[01-02]", "mkdir b && exit 9; exec sleep 1000", 124),
        ("n01,broken", "exit 9", 4),
        ("n01,broken,refused", "exit 9", 5),
    ];
    for (targets, line, expected) in cases {
        let (status, err) = status(targets, line);
        assert_eq!(status, expected, "{targets}: {err}");
    }
    assert_eq!(scene.run(&["run", "n1", "--", "true"]).status, 2);
    assert_eq!(scene.run(&["run", "-u", "x", "n01", "--", "true"]).status, 2);
}

#[test]
fn forks_limits_the_concurrent_targets() {
    let scene = Scene::new();
    fs::create_dir(scene.path().join("at-work")).unwrap();
    let line = "mkdir at-work/$$; ls at-work | wc -l; rmdir at-work/$$";
    let done = scene.run(&["run", "-f", "2", "n[01-06],deep", "--", line]);
    assert_eq!((done.status, done.text().lines().count()), (0, 9), "{}", done.err);
    for line in done.text().lines() {
        let (_, count) = line.split_once(": ").unwrap();
        assert!((1..=2).contains(&count.trim().parse::<u32>().unwrap()), "{line}");
    }
    let counted = scene.run(&["run", "n[01-06]", "-f", "1", "--json", "--", "true"]);
    let order: Vec<String> = counted
        .events()
        .iter()
        .filter(|event| !event["host"].is_null())
        .map(|event| format!("{} {}", event["host"], event["event"]))
        .collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|entry| (entry[..5].to_owned(), entry.contains("end")));
    assert_eq!(order, sorted, "one at a time, in their order");
}

#[test]
fn many_hosts_need_few_threads() {
    let scene = Scene::new();
    let mut started = scene.start(&["run", "n", "--", "echo up; read x; exit 0"], Stdio::piped());
    let hosts: BTreeSet<String> = (0..30).map(|_| started.line()).collect();
    assert_eq!(hosts.len(), 30);
    // The main thread, the broker, the module responder, and the reader of standard input.
    let threads = fs::read_dir(format!("/proc/{}/task", started.pid())).unwrap().count();
    assert!(threads <= 4, "{threads} threads");
    let done = scene.finish(started);
    assert_eq!((done.status, done.err.as_str()), (0, ""));
}
