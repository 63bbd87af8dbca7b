//! Compares the pickle codec with the `pickle` and `cPickle` modules of every Python on this machine.
//!
//! Each interpreter runs once and is fed with generated values that our encoder wrote. It answers with a
//! description of what it read, and with the value pickled by each of its picklers in each protocol,
//! which our decoder must read as the same value.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, fs, thread};

use bytes::Bytes;
use mitogen_core::ids::{ContextId, Handle};
use mitogen_core::pickle::{BigInt, Secret, SurrogateText, Value, decode_all, decode_shared, to_bytes};

const DRIVER: &str = include_str!("pickle_pythons/driver.py");

/// Generated cases for each interpreter.
const CASES: usize = 400;

#[test]
fn every_python_reads_and_writes_the_same_values() {
    let pythons = discover();
    println!("pythons found:");
    for (version, path) in &pythons {
        println!("  {version}  {}", path.display());
    }
    assert!(
        !pythons.is_empty(),
        "no Python found, neither under pyenv nor as python3, python2 or python in PATH"
    );
    for (version, path) in &pythons {
        let cases = cases(version.starts_with("2."));
        let pickles = exchange(version, path, &cases);
        println!("{version}: {} values, {pickles} pickles of its own", cases.len());
        assert!(pickles > cases.len(), "{version} answered with {pickles} pickles only");
    }
}

/// One interpreter for each full version number.
fn discover() -> BTreeMap<String, PathBuf> {
    let mut candidates = Vec::new();
    let pyenv = Command::new("pyenv").arg("root").output().ok().filter(|out| out.status.success());
    let root = pyenv.map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()));
    let root = root.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")));
    for entry in
        root.into_iter().filter_map(|root| fs::read_dir(root.join("versions")).ok()).flatten().flatten()
    {
        candidates.push(entry.path().join("bin/python"));
    }
    candidates.extend(["python3", "python2", "python"].map(PathBuf::from));
    for folder in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        candidates.push(folder.join("python3"));
    }
    let mut found = BTreeMap::new();
    for path in candidates {
        let code = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
        let Ok(output) = Command::new(&path).args(["-S", "-c", code]).stderr(Stdio::null()).output() else {
            continue;
        };
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && (version.starts_with("2.7") || version.starts_with("3.")) {
            found.entry(version).or_insert(path);
        }
    }
    found
}

/// Runs all `cases` through one interpreter; returns how many pickles came back.
fn exchange(version: &str, python: &PathBuf, cases: &[Value]) -> usize {
    let child = Command::new(python)
        .args(["-S", "-c", DRIVER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter was just found");
    let mut driver = Driver(child);
    let child = &mut driver.0;
    let mut stdin = BufWriter::new(child.stdin.take().expect("stdin is piped"));
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let requests: Vec<Bytes> = cases.iter().map(|it| to_bytes(it).expect("cases are encodable")).collect();
    let mut pickles = 0;
    let sent = requests.clone();
    // A thread of its own, because both pipes can be full. It ends with the driver at the latest.
    let sender = thread::spawn(move || {
        for request in sent {
            stdin.write_all(&(request.len() as u32).to_be_bytes())?;
            stdin.write_all(&request)?;
        }
        stdin.flush()
    });
    for (number, case) in cases.iter().enumerate() {
        let what = || format!("python {version}, case {number}: {}", short(&requests[number]));
        let want = describe(case);
        let got = receive(&mut stdout, &what);
        assert_eq!(short(&got), short(want.as_bytes()), "{}", what());
        assert!(got == want.as_bytes(), "{} was read as something else", what());
        for _ in 0..count(&mut stdout, &what) {
            let how = String::from_utf8(receive(&mut stdout, &what)).expect("names are ASCII");
            let pickle = Bytes::from(receive(&mut stdout, &what));
            let what = || format!("{}\n{how}: {}", what(), short(&pickle));
            let values = if how.ends_with("twice") {
                decode_all(&pickle)
            } else {
                decode_shared(&pickle).map(|it| vec![it])
            };
            let values = values.unwrap_or_else(|error| panic!("{error}\n{}", what()));
            assert_eq!(values.len(), if how.ends_with("twice") { 2 } else { 1 }, "{}", what());
            for value in values {
                let got = describe(&value);
                assert_eq!(short(got.as_bytes()), short(want.as_bytes()), "{}", what());
                assert!(got == want, "{} was read as something else", what());
            }
            pickles += 1;
        }
    }
    let sent = sender.join().expect("the sender does not panic");
    assert!(sent.is_ok(), "python {version}: {sent:?}");
    assert!(driver.0.wait().expect("the child can be waited for").success(), "python {version} failed");
    pickles
}

/// Ends the interpreter when a test fails, so that no thread waits for it.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // It has usually ended by itself, which makes these fail.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn count(from: &mut impl Read, what: &dyn Fn() -> String) -> u32 {
    let mut head = [0; 4];
    from.read_exact(&mut head).unwrap_or_else(|error| panic!("{error} at {}", what()));
    u32::from_be_bytes(head)
}

fn receive(from: &mut impl Read, what: &dyn Fn() -> String) -> Vec<u8> {
    let mut data = vec![0; count(from, what) as usize];
    from.read_exact(&mut data).unwrap_or_else(|error| panic!("{error} at {}", what()));
    data
}

fn short(bytes: &[u8]) -> String {
    let dots = if bytes.len() > 600 { "..." } else { "" };
    format!("{}{dots} ({} bytes)", bytes[..bytes.len().min(600)].escape_ascii(), bytes.len())
}

/// The text that the driver makes of the same value.
fn describe(value: &Value) -> String {
    let mut out = String::new();
    write_description(value, &mut out);
    out
}

fn write_description(value: &Value, out: &mut String) {
    match value {
        Value::None => out.push('N'),
        Value::Bool(it) => out.push(if *it { 'T' } else { 'F' }),
        Value::Int(it) => {
            let sign = if *it < 0 { "-" } else { "" };
            out.push_str(&format!("i{sign}{:x}", it.unsigned_abs()));
        }
        Value::Big(it) => {
            let sign = if it.is_negative() { "-" } else { "" };
            let digits: String = it.magnitude().iter().rev().map(|b| format!("{b:02x}")).collect();
            out.push_str(&format!("i{sign}{}", digits.trim_start_matches('0')));
        }
        Value::Float(it) => hexed('f', &it.to_be_bytes(), out),
        Value::Text(it) => hexed('t', it.as_bytes(), out),
        Value::Surrogates(it) => hexed('t', it.as_bytes(), out),
        Value::Bytes(it) => hexed('b', it, out),
        Value::Blob(it) => hexed('B', it, out),
        Value::Secret(it) => hexed('S', it.expose().as_bytes(), out),
        Value::CallError(it) => hexed('E', it.as_bytes(), out),
        Value::List(items) => members(['[', ']'], items, out),
        Value::Tuple(items) => members(['(', ')'], items, out),
        Value::Dict(entries) => dict(entries, out),
        Value::Kwargs(entries) => {
            out.push('K');
            dict(entries, out);
        }
        Value::Context { id, name } => {
            out.push('C');
            let name = name.as_deref().map_or(Value::None, Value::from);
            members(['(', ')'], &[id.0.into(), name], out);
        }
        Value::Sender { context, handle } => {
            out.push('P');
            members(['(', ')'], &[context.0.into(), handle.0.into()], out);
        }
        other => panic!("no description for {other:?}"),
    }
}

fn hexed(kind: char, bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(kind);
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)].into());
        out.push(DIGITS[usize::from(byte & 15)].into());
    }
}

fn members([open, close]: [char; 2], items: &[Value], out: &mut String) {
    out.push(open);
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_description(item, out);
    }
    out.push(close);
}

fn dict(entries: &[(Value, Value)], out: &mut String) {
    let mut parts: Vec<String> =
        entries.iter().map(|(k, v)| format!("{}:{}", describe(k), describe(v))).collect();
    parts.sort();
    out.push('{');
    out.push_str(&parts.join(","));
    out.push('}');
}

/// The values to exchange: corners first, then generated ones. The same in every run.
fn cases(python2: bool) -> Vec<Value> {
    let mut cases = corners(python2);
    let mut maker = Maker { state: 0x2545_f491_4f6c_dd1d, python2 };
    for number in 0..CASES {
        cases.push(maker.value(if number % 4 == 0 { 6 } else { 3 }));
    }
    cases
}

fn text(it: &str) -> Value {
    it.into()
}

fn corners(python2: bool) -> Vec<Value> {
    let mut out = vec![Value::None, true.into(), false.into(), Value::Tuple(vec![]), Value::List(vec![])];
    out.push(Value::Dict(vec![]));
    for shift in [0, 7, 8, 15, 16, 31, 32, 62, 63, 64, 127, 128] {
        for near in [-1i128, 0, 1] {
            let n = 1i128.checked_shl(shift).unwrap_or(i128::MAX).wrapping_add(near);
            out.extend([n.into(), n.wrapping_neg().into()]);
        }
    }
    for len in [17, 126, 127, 128, 254, 255, 256, 300, 1000] {
        for last in [1, 0x7f, 0x80, 0xff] {
            let mut bytes = vec![0xa5; len];
            bytes.push(last);
            out.push(BigInt::from_le_bytes(&bytes).into());
        }
    }
    for it in [0.0, -0.0, 0.1, 1e300, -1e-300, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY] {
        out.push(it.into());
    }
    for it in ["", "a", "\0", "\n\\\r'\"\u{1a}", "é", "ÿĀ", "€", "\u{d7ff}\u{e000}\u{ffff}", "😀\u{10ffff}"]
    {
        out.push(text(it));
        out.push(Value::Secret(Secret::new(it)));
        out.push(Value::CallError(it.into()));
        out.push(it.as_bytes().into());
    }
    for it in [&b"\xed\xa0\x80"[..], b"a\xed\xbf\xbf\\u", b"\xed\xb2\x80\xed\xb2\x81\xc3\xa9"] {
        out.push(SurrogateText::new(it.to_vec()).expect("these are surrogates").into());
    }
    // Python 2 joins the halves of a pair when it makes UTF-8, so only Python 3 keeps these.
    if !python2 {
        out.push(
            SurrogateText::new(b"\xed\xa0\xbd\xed\xb8\x80".to_vec()).expect("these are surrogates").into(),
        );
    }
    let all: Vec<u8> = (0..=255).collect();
    for len in [0, 1, 254, 255, 256] {
        out.push(all[..len].into());
        out.push(Value::Blob(Bytes::copy_from_slice(&all[..len])));
        out.push(text(&"x".repeat(len)));
        out.push(Value::List((0..len as i64).map(Value::from).collect()));
        out.push(Value::Tuple((0..len as i64).map(Value::from).collect()));
    }
    for len in [999, 1000, 1001, 2001] {
        out.push(Value::List(vec![text("same"); len]));
        out.push((0..len as i64).map(|n| (n, text("v"))).collect());
    }
    out.push(Value::Kwargs(vec![(text("path"), text("/")), (text("mode"), 0o644.into())]));
    for id in [0, 1, i32::MAX as u32, 1 << 31, u32::MAX] {
        out.push(Value::Context { id: ContextId(id), name: (id > 1).then(|| "ssh.web01".into()) });
        out.push(Value::Sender { context: ContextId(id), handle: Handle(id.max(1)) });
    }
    let deep = |wrap: fn(Value) -> Value| (0..200).fold(Value::None, |inner, _| wrap(inner));
    out.push(deep(|it| Value::List(vec![it])));
    out.push(deep(|it| Value::Tuple(vec![it])));
    out.push(deep(|it| Value::Dict(vec![(Value::None, it)])));
    // Large ones.
    out.push(all.repeat(16 << 12).into());
    out.push(Value::Blob(all.repeat(1 << 10).into()));
    out.push(text(&"grüße €😀".repeat(20_000)));
    out.push(Value::List(
        (0..50_000).map(|n: i64| n.wrapping_mul(0x9e37_79b9_7f4a)).map(Value::from).collect(),
    ));
    out.push((0..10_000).map(|n: i64| (format!("key {n}"), n)).collect());
    out
}

struct Maker {
    state: u64,
    python2: bool,
}

impl Maker {
    fn roll(&mut self, sides: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % sides
    }

    fn value(&mut self, depth: u32) -> Value {
        let kinds = if depth == 0 { 10 } else { 17 };
        match self.roll(kinds) {
            0 => Value::None,
            1 => (self.roll(2) == 0).into(),
            2..4 => self.int(),
            4 => self.big(),
            5 => self.float(),
            6 | 7 => self.text(),
            8 => self.bytes().into(),
            9 => self.object(),
            10 | 11 => Value::List(self.members(depth)),
            12 | 13 => Value::Tuple(self.members(depth)),
            14 | 15 => Value::Dict(self.entries(depth)),
            _ => Value::Kwargs(
                (0..self.roll(4)).map(|n| (format!("key_{n}").into(), self.value(depth - 1))).collect(),
            ),
        }
    }

    fn members(&mut self, depth: u32) -> Vec<Value> {
        (0..self.roll(6)).map(|_| self.value(depth - 1)).collect()
    }

    /// Entries whose keys differ for Python, where `1 == 1.0 == True` and, in Python 2, `u"a" == "a"`.
    fn entries(&mut self, depth: u32) -> Vec<(Value, Value)> {
        let mut seen = BTreeSet::new();
        let mut entries = Vec::new();
        for _ in 0..self.roll(6) {
            let key = match self.roll(8) {
                0 => Value::None,
                1 => true.into(),
                2 => (self.roll(1000) as f64 + 0.5).into(),
                3 => self.big(),
                4 => Value::Bytes([b"\xff".as_slice(), &self.bytes()].concat().into()),
                5 => Value::Tuple(vec![self.text(), (self.roll(9) as i64).into()]),
                _ => self.text(),
            };
            if seen.insert(describe(&key)) {
                entries.push((key, self.value(depth - 1)));
            }
        }
        entries
    }

    fn int(&mut self) -> Value {
        let bits = self.roll(64);
        let n = (self.roll(1 << 53) << 11 | self.roll(1 << 11)) as i64 >> bits;
        n.into()
    }

    /// At least 2, so that it equals no truth value.
    fn big(&mut self) -> Value {
        let mut bytes: Vec<u8> = (0..=self.roll(40)).map(|_| self.roll(256) as u8).collect();
        bytes.extend([1, 0]);
        BigInt::from_le_bytes(&bytes).into()
    }

    fn float(&mut self) -> Value {
        let it = f64::from_bits(self.roll(1 << 53) << 11 | self.roll(1 << 11));
        // The payload of a NaN is not kept by all picklers.
        if it.is_nan() { 0.25.into() } else { it.into() }
    }

    fn text(&mut self) -> Value {
        let mut bytes = Vec::new();
        let surrogates = self.roll(8) == 0;
        let mut after_high = false;
        for _ in 0..self.roll(12) {
            let code = match self.roll(10) {
                0..5 => 0x20 + self.roll(0x5f),
                5 => self.roll(0x20),
                6 => 0x80 + self.roll(0x780),
                7 => 0x800 + self.roll(0xd000),
                8 if surrogates => 0xd800 + self.roll(0x800),
                _ => 0x10000 + self.roll(0x10_0000),
            } as u32;
            match char::from_u32(code) {
                Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                // Python 2 joins pairs.
                None if self.python2 && after_high && code >= 0xdc00 => continue,
                None => bytes.extend_from_slice(&[
                    0xed,
                    0x80 | (code >> 6 & 0x3f) as u8,
                    0x80 | (code & 0x3f) as u8,
                ]),
            }
            after_high = (0xd800..0xdc00).contains(&code);
        }
        match SurrogateText::new(bytes) {
            Ok(text) => text.into(),
            Err(bytes) => String::from_utf8(bytes).expect("without surrogates it is UTF-8").into(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = if self.roll(10) == 0 { self.roll(700) } else { self.roll(10) };
        let ascii = self.roll(2) == 0;
        (0..len).map(|_| self.roll(if ascii { 128 } else { 256 }) as u8).collect()
    }

    fn object(&mut self) -> Value {
        match self.roll(5) {
            0 => Value::Blob(self.bytes().into()),
            1 => Value::Secret(Secret::new("secret é")),
            2 => Value::CallError("builtins.ValueError: bad\n  File \"x\", line 1".into()),
            3 => Value::Context { id: ContextId(self.roll(1 << 32) as u32), name: None },
            _ => Value::Sender { context: ContextId(1), handle: Handle(1 + self.roll(0xffff_fffe) as u32) },
        }
    }
}
