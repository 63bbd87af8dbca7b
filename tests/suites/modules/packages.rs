//! Third-party packages run on targets that lack them, under other interpreters than the one that installed them,
//! through one, two and three contexts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use mitogen::{Context, Value};
use mitogen_tests::{Packages, Python, isolated, pythons};
use serde_json::{Value as Json, json};

use crate::frame_log::FrameLog;
use crate::{call, chain, master};

/// Pinned with their dependencies, in versions that run under every interpreter from 3.7 on.
const WANTED: [&str; 13] = [
    "attrs==23.1.0",
    "certifi==2024.2.2",
    "charset_normalizer==3.3.2",
    "idna==3.4",
    "jinja2==3.1.2",
    "markdown-it-py==2.2.0",
    "markupsafe==2.1.3",
    "mdurl==0.1.2",
    "pygments==2.17.2",
    "pyyaml==6.0.1",
    "requests==2.31.0",
    "rich==13.5.2",
    "typing_extensions==4.7.1",
];
const ALSO: [&str; 1] = ["urllib3==2.0.7"];

fn installed() -> Packages {
    Packages::new("modules", &[&WANTED[..], &ALSO[..]].concat()).expect("packages from PyPI")
}

fn drivers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/drivers")
}

/// The oldest and the newest interpreter that the packages support, with other versions than the installer's if this
/// machine has any.
fn targets(packages: &Packages) -> Vec<Python> {
    let able: Vec<Python> = pythons().into_iter().filter(|python| python.version >= (3, 7, 0)).collect();
    let others: Vec<&Python> =
        able.iter().filter(|python| python.version.1 != packages.installer().version.1).collect();
    let chosen = match (others.first(), others.last()) {
        (Some(first), Some(last)) if first != last => vec![(*first).clone(), (*last).clone()],
        (Some(only), _) => vec![(*only).clone()],
        _ => vec![packages.installer().clone()],
    };
    assert!(!chosen.is_empty(), "no interpreter from 3.7 on");
    chosen
}

/// Answers one HTTP request with its parameters as JSON.
fn serve_once() -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}/path?q=1", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut lines = Vec::new();
        for line in BufReader::new(stream.try_clone().expect("a clone")).lines() {
            let line = line.expect("text");
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let body = json!({"request": lines[0], "from": lines.iter().find(|line| line.starts_with("X-From"))})
            .to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("an answer is taken");
    });
    (url, server)
}

fn all_ours(files: &BTreeMap<String, String>) {
    for (module, file) in files {
        assert!(file.starts_with("master:"), "{module} is the target's own: {file}");
    }
}

fn use_them_all(target: &Context) {
    let (text, files): (String, BTreeMap<String, String>) =
        call(target, "use_packages.render", (["a", "b"],));
    assert_eq!(text, "A,B");
    all_ours(&files);

    let (value, fast, dumped, files): (Value, bool, String, _) =
        call(target, "use_packages.load_yaml", ("a: [1, 2.5, yes]\n",));
    let list = Value::List(vec![Value::Int(1), Value::Float(2.5), Value::Bool(true)]);
    assert_eq!(value, Value::Dict(vec![(Value::from("a"), list)]));
    assert!(!fast, "the extension module cannot have come along");
    assert_eq!(dumped, "a:\n- 1\n- 2.5\n- true\n");
    all_ours(&files);

    let (shown, dict, files): (String, BTreeMap<String, i64>, BTreeMap<String, String>) =
        call(target, "use_packages.make_attrs", ("1", 2));
    assert_eq!(shown, "Point(x=1, y=2)");
    assert_eq!(dict, BTreeMap::from([("x".to_owned(), 1), ("y".to_owned(), 2)]));
    all_ours(&files);

    let (printed, files): (String, _) = call(target, "use_packages.print_table", ([("one", "1")],));
    assert!(printed.contains("\x1b[1;31malarm") && printed.contains('\u{26a0}'), "{printed}");
    assert!(printed.contains("│ one  │ 1     │"), "{printed}");
    all_ours(&files);

    let (source, first, trace): (String, usize, String) = call(target, "use_packages.source_and_trace", ());
    assert!(source.starts_with("def safe_load(stream):\n"), "{source}");
    let file = installed().dir().join("yaml/__init__.py");
    let whole = std::fs::read_to_string(&file).expect("the package exists");
    assert_eq!(whole.lines().nth(first - 1), Some("def safe_load(stream):"), "a true line number");
    assert!(trace.contains("return load(stream, SafeLoader)"), "tracebacks show source: {trace}");
    assert!(trace.contains(&format!("master:{}", file.display())), "{trace}");

    let (url, server) = serve_once();
    let (status, answer, files): (u16, BTreeMap<String, String>, BTreeMap<String, String>) =
        call(target, "use_packages.fetch", (url,));
    server.join().expect("the server ends well");
    assert_eq!((status, answer["request"].as_str()), (200, "GET /path?q=1 HTTP/1.1"));
    assert_eq!(answer["from"], "X-From: target");
    all_ours(&files);
}

#[test]
fn packages_work_through_one_two_and_three_contexts() {
    isolated(|| {
        let packages = installed();
        for python in targets(&packages) {
            for length in 1..=3 {
                let tap = FrameLog::new(&python.path);
                let master = master(&[&drivers(), packages.dir()]);
                let contexts = chain(&master, tap.settings(), length);
                use_them_all(contexts.last().expect("one at least"));
                let stats = master.module_stats();
                master.shutdown();
                let links = tap.links();
                assert_eq!(links.len(), length);
                for (at, link) in links.iter().enumerate() {
                    let loaded = link.loaded();
                    let twice: Vec<_> = loaded.iter().filter(|&(_, count)| *count > 1).collect();
                    assert!(twice.is_empty(), "over link {at} under {}: {twice:?}", python.version_text());
                    assert!(loaded.contains_key("requests.sessions") && loaded.contains_key("rich.table"));
                    let mut asked = link.asked();
                    let count = asked.len();
                    asked.sort();
                    asked.dedup();
                    assert_eq!(asked.len(), count, "asked twice over link {at}");
                    let messages = json!({
                        "python": python.version_text(), "contexts": length, "link": at,
                        "modules": loaded.len(), "asked": asked, "down": link.down.len(), "up": link.up.len(),
                    });
                    show(&messages);
                }
                assert!(stats.sent > 100, "{stats:?}");
            }
        }
    });
}

fn show(line: &Json) {
    println!("{line}");
}
