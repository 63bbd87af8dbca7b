//! Standard input, forwarded to the hosts.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::process::Stdio;

use super::scene::Scene;

/// Bytes of all kinds, in no order that a chunk size could divide.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

#[test]
fn bytes_are_forwarded_unchanged() {
    let scene = Scene::new();
    let input = noise((6 << 20) + 12_345);
    let done = scene.run_with_input(&["run", "local", "--", "cat"], &input);
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    assert!(done.out == input, "{} bytes of {}", done.out.len(), input.len());
}

#[test]
fn every_host_receives_all_input() {
    let scene = Scene::new();
    let input = noise((2 << 20) + 7);
    fs::write(scene.path().join("input"), &input).unwrap();
    let alone = scene.run(&["run", "local", "--", "cksum < input"]);
    for forks in ["30", "2"] {
        let done =
            scene.run_with_input(&["run", "--fold", "-f", forks, "n[01-05],deep", "--", "cksum"], &input);
        let rule = "---------------";
        let expected = format!("{rule}\nn[01-05],d[1-3] (8)\n{rule}\n{}", alone.text());
        assert_eq!((done.status, done.text()), (0, expected.as_str()), "-f {forks}: {}", done.err);
    }
}

#[test]
fn the_buffer_for_late_hosts_is_limited() {
    let scene = Scene::new();
    let input = vec![b'x'; 65 << 20];
    let done = scene.run_with_input(&["run", "-f", "1", "n[01-03]", "--", "wc -c"], &input);
    assert_eq!((done.status, done.text().trim()), (3, format!("n01: {}", input.len()).as_str()));
    let told = "  n[02-03] (2): cannot start: standard input has more than 64 MiB, the limit for hosts that start late; increase --forks\n";
    assert!(done.err.ends_with(told), "{}", done.err);
}

#[test]
fn input_is_forwarded_as_soon_as_it_is_written() {
    let scene = Scene::new();
    let mut started = scene.start(&["run", "n[01-02]", "--", "cat"], Stdio::piped());
    for line in ["one\n", "two\n", "three\n"] {
        started.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut lines = [started.line(), started.line()];
        lines.sort_unstable();
        assert_eq!(lines, [format!("n01: {line}"), format!("n02: {line}")]);
    }
    let done = scene.finish(started);
    assert_eq!((done.status, done.text(), done.err.as_str()), (0, "", ""));
}

#[test]
fn unread_input_does_not_delay_the_run() {
    let scene = Scene::new();
    // The pipe stays open and empty until the run has ended.
    let mut started = scene.start(&["run", "local", "--", "echo done"], Stdio::piped());
    let stdin = started.stdin.take();
    let done = scene.finish(started);
    assert_eq!((done.status, done.text()), (0, "done\n"));
    drop(stdin);
    // A host that ends early does not hold up one that reads on.
    let input = noise(3 << 20);
    let done =
        scene.run_with_input(&["run", "n01,n02", "--json", "--", "mkdir first 2>/dev/null || wc -c"], &input);
    let data: Vec<_> = done.events().into_iter().filter(|event| event["event"] == "stdout").collect();
    assert_eq!(data.len(), 1, "{}", done.text());
    assert_eq!(data[0]["data"].as_str().unwrap().trim(), input.len().to_string());
}

#[test]
fn without_input_commands_read_an_end_of_file() {
    let scene = Scene::new();
    assert_eq!(scene.run(&["run", "local", "--", "wc -c"]).text().trim(), "0");
    assert_eq!(scene.run_with_input(&["run", "local", "--", "wc -c"], b"").text().trim(), "0");
    assert_eq!(scene.run_with_input(&["run", "-n", "local", "--", "wc -c"], b"abc").text().trim(), "0");
    let empty = scene.path().join("empty");
    fs::write(&empty, "").unwrap();
    let started = scene.start(&["run", "local", "--", "wc -c"], File::open(&empty).unwrap().into());
    assert_eq!(scene.finish(started).text().trim(), "0");
}

#[test]
fn no_input_is_read_for_unreachable_hosts() {
    let scene = Scene::new();
    let path = scene.path().join("input");
    fs::write(&path, "precious").unwrap();
    let mut file = File::open(&path).unwrap();
    let started = scene.start(&["run", "broken", "--", "cat"], file.try_clone().unwrap().into());
    assert_eq!(scene.finish(started).status, 4);
    assert_eq!(file.stream_position().unwrap(), 0);
    let mut left = String::new();
    file.read_to_string(&mut left).unwrap();
    assert_eq!(left, "precious");
}
