//! The engine: the shared transcripts, and what they cannot show.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::transcript::replay;
use super::*;

/// One entry of the engine's own `plans.json`: no transport stands behind these.
#[derive(Deserialize)]
struct Entry {
    plan: Talk,
}

#[derive(Clone, Deserialize)]
struct Talk {
    dialogue: Dialogue,
    secrets: BTreeMap<String, Secret>,
}

fn talks() -> BTreeMap<String, Entry> {
    serde_json::from_str(&fs::read_to_string(transcripts().join("plans.json")).unwrap()).unwrap()
}

fn transcripts() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/engine")
}

fn check(text: &str) -> Result<(), String> {
    let talks = talks();
    replay(text, |name| {
        talks.get(name).map(|entry| (entry.plan.dialogue.clone(), entry.plan.secrets.clone()))
    })
}

fn engine(rules: Vec<Rule>) -> Engine {
    let secrets = BTreeMap::from([("password".to_owned(), Secret::new("hunter2"))]);
    Engine::new(&Dialogue { rules, ..Dialogue::default() }, &secrets)
}

fn ask() -> Rule {
    Rule::new(Source::Any, Shown::Partial, "word: $", Action::SendSecret("password".into()))
}

#[test]
fn transcripts_are_followed() {
    let mut count = 0;
    for entry in fs::read_dir(transcripts()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            count += 1;
            if let Err(complaint) = check(&fs::read_to_string(&path).unwrap()) {
                panic!("{}: {complaint}", path.display());
            }
        }
    }
    assert!(count > 10);
}

#[test]
fn a_transcript_that_is_not_met_is_told() {
    for (text, words) in [
        ("", "empty"),
        ("link \"x\"", "begins with its plan"),
        ("plan nosuch", "no plan"),
        ("plan empty\nlink x", "JSON"),
        ("plan empty\nshout \"x\"", "not understood"),
        ("plan empty\nready", "got nothing"),
        ("plan empty\nlink \"MITO000\\n\"", "nobody expected"),
        ("plan empty\nlink \"MITO000\\n\"\nup \"\"", "got `ready`"),
        ("plan empty\nclosed\nfail connect eof", "got `fail shell eof`"),
        ("plan empty\nshows \"x\"", "no line"),
        ("plan empty\nexit x", "not a number"),
    ] {
        let complaint = check(text).unwrap_err();
        assert!(complaint.contains(words), "{text:?}: {complaint}");
    }
}

#[test]
fn memory_is_bounded() {
    let mut engine = engine(vec![ask()]);
    for _ in 0..300 {
        engine.feed(Source::Diag, &[b'x'; 5000]);
        engine.feed(Source::Link, &[&[b'y'; 3000][..], b"\n"].concat());
    }
    let kept: usize = engine.output().iter().map(String::len).sum();
    assert!(kept <= 2 * (history::BYTES_KEPT + text::LINE_LIMIT), "{kept}");
}

#[test]
fn logs_come_before_what_they_cause_and_secrets_are_masked() {
    let mut engine = engine(vec![ask()]);
    let steps = engine.feed(Source::Diag, b"word: ");
    assert_eq!(format!("{steps:?}"), r#"[Log(Diag: "word: "), Write(8 bytes to Diag)]"#);
    let Step::Write { data, .. } = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(data.as_slice(), b"hunter2\n");
    let echoed = engine.feed(Source::Diag, b"you typed hunter2\n");
    assert_eq!(echoed, [Step::Log { source: Source::Diag, line: "you typed ********".into() }]);
    assert_eq!(engine.output(), ["word: ", "you typed ********"]);
    assert!(!format!("{engine:?}").contains("hunter2"));
}

#[test]
fn a_bad_pattern_is_a_failure_and_not_a_panic() {
    let rule = Rule::new(Source::Link, Shown::Line, "(", Action::Pass);
    let dialogue = Dialogue { rules: vec![rule.clone()], ..Dialogue::default() };
    assert_eq!(dialogue.check().unwrap_err().pattern, "(");
    let steps = engine(vec![rule]).feed(Source::Link, b"x\n");
    assert!(matches!(&steps[1], Step::Fail(failure) if failure.kind == FailureKind::BadOption), "{steps:?}");
}

#[test]
fn unexplained_ends_say_what_was_going_on() {
    let dialogue = Dialogue { stages: vec![(START.into(), Stage::Privilege)], ..Dialogue::default() };
    let mut engine = Engine::new(&dialogue, &BTreeMap::new());
    assert_eq!(
        engine.finish(Some(3), None).message,
        "the program exited with status 3 while becoming the user"
    );
    assert_eq!(
        engine.finish(None, Some(9)).message,
        "the program was killed by signal 9 while becoming the user"
    );
    assert_eq!(engine.finish(None, None).message, "the link was closed while becoming the user");
    assert_eq!(engine.timeout().message, "timed out while becoming the user");
    engine.feed(Source::Link, b"MITO000\n");
    assert_eq!((engine.timeout().stage, engine.state()), (Stage::Bootstrap, RUNNING));
    engine.feed(Source::Link, b"MITO002\n");
    assert!(engine.is_up());
}

#[test]
fn any_bytes_cut_anyhow_do_no_harm() {
    // A small generator, so that a failure can be repeated.
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let words: [&[u8]; 9] =
        [b"word: ", b"MITO000", b"\n", b"\r", b"\x1b[", b"\x1b]0;", b"\x07", b"\0\xff", b"MITO00"];
    for _ in 0..500 {
        let mut engine = engine(vec![ask()]);
        let mut written = 0;
        for _ in 0..40 {
            let source = if random() % 2 == 0 { Source::Link } else { Source::Diag };
            let steps = engine.feed(source, words[random() % words.len()]);
            written += steps.iter().filter(|step| matches!(step, Step::Write { .. })).count();
        }
        assert!(written <= 1, "a secret was sent twice");
    }
}

#[test]
fn literal_text_matches_itself_only() {
    let text = r"nein (nicht)? [a-b] {x} a|b ^$ \ * + . # & ~ é";
    let regex = rules::compile(&format!("^{}$", literal(text)), false).unwrap();
    assert!(regex.is_match(text.as_bytes()));
    assert!(!regex.is_match(text.replace('.', "x").as_bytes()));
}
