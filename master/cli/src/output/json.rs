//! Printing events for programs: one JSON object per line.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Counts;
use super::event::{HostEvent, HostId, HostResult, Printer, StdStream, Streams};
use crate::exit::HostOutcome;
use crate::json::base64;

/// The version of the format. Programs that know a version can read all later output of the same version:
/// members may be added, but not removed or changed.
pub const SCHEMA: u32 = 1;

/// The least time between two progress events of a host.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Writes every event as an object with `schema`, `event`, `time` (seconds since the start) and, except for
/// `summary`, `host`:
///
/// - `start`: the host is connected and the command was started;
/// - `stdout`, `stderr`: `data` is text, or base64 with `"base64": true` if it is not UTF-8;
/// - `progress`, at most once a second: `bytes` and `files` transferred so far, and `total_bytes` and
///   `total_files`;
/// - `end`: `outcome` (`ok`, `failed`, `timeout`, `unreachable`, `refused`, `misconfigured`, `internal`,
///   `interrupted`), and, depending on the result, `status`, `signal`, `value`, `error`, `message`, or the
///   members of a [`ConnectError`](mitogen::ConnectError); for transfers `files`, `bytes`, `resumed`, the
///   bytes that were at the target already, and `unchanged`, the files that were there already;
/// - `summary`, the last: `hosts`, the number of hosts with each outcome as `outcomes`, and `exit`, the exit
///   status of this process.
#[derive(Clone, Debug)]
pub struct JsonLines {
    hosts: Arc<[String]>,
    /// Incomplete UTF-8 sequences at the end of the last chunk.
    partial: HashMap<(HostId, StdStream), Vec<u8>>,
    outcomes: Vec<Option<HostOutcome>>,
    /// The time of each host's last progress event.
    moved: HashMap<HostId, Duration>,
}

impl JsonLines {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>) -> Self {
        let count = hosts.len();
        Self { hosts, partial: HashMap::new(), outcomes: vec![None; count], moved: HashMap::new() }
    }

    fn output(
        &mut self,
        to: &mut Streams<'_>,
        at: Duration,
        host: HostId,
        stream: StdStream,
        data: &[u8],
    ) -> io::Result<()> {
        let mut bytes = self.partial.remove(&(host, stream)).unwrap_or_default();
        bytes.extend_from_slice(data);
        let rest = bytes.split_off(bytes.len() - incomplete(&bytes));
        if !rest.is_empty() {
            self.partial.insert((host, stream), rest);
        }
        self.write_data(to, at, host, stream, bytes)
    }

    fn write_data(
        &self,
        to: &mut Streams<'_>,
        at: Duration,
        host: HostId,
        stream: StdStream,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let event = match stream {
            StdStream::Stdout => "stdout",
            StdStream::Stderr => "stderr",
        };
        let mut line = self.line(event, at, Some(host));
        match String::from_utf8(bytes) {
            Ok(text) => {
                line.insert("data".to_owned(), Value::from(text));
            }
            Err(error) => {
                line.insert("data".to_owned(), Value::from(base64(error.as_bytes())));
                line.insert("base64".to_owned(), Value::from(true));
            }
        }
        write(to.out, line)
    }

    fn moved(
        &mut self,
        to: &mut Streams<'_>,
        at: Duration,
        host: HostId,
        progress: mitogen::files::TransferProgress,
    ) -> io::Result<()> {
        if self.moved.get(&host).is_some_and(|last| at < *last + PROGRESS_INTERVAL) {
            return Ok(());
        }
        self.moved.insert(host, at);
        let mut line = self.line("progress", at, Some(host));
        for (name, number) in [
            ("bytes", progress.bytes),
            ("total_bytes", progress.total_bytes),
            ("files", progress.files),
            ("total_files", progress.total_files),
        ] {
            line.insert(name.to_owned(), number.into());
        }
        write(to.out, line)
    }

    fn line(&self, event: &str, at: Duration, host: Option<HostId>) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("schema".to_owned(), SCHEMA.into());
        line.insert("event".to_owned(), event.into());
        line.insert("time".to_owned(), time(at));
        if let Some(host) = host {
            line.insert("host".to_owned(), self.hosts[host.0].as_str().into());
        }
        line
    }

    fn end(
        &mut self,
        to: &mut Streams<'_>,
        at: Duration,
        host: HostId,
        result: &HostResult,
    ) -> io::Result<()> {
        for stream in [StdStream::Stdout, StdStream::Stderr] {
            if let Some(rest) = self.partial.remove(&(host, stream)) {
                self.write_data(to, at, host, stream, rest)?;
            }
        }
        self.outcomes[host.0] = Some(result.outcome());
        let mut line = self.line("end", at, Some(host));
        line.insert("outcome".to_owned(), result.outcome().word().into());
        let more = match result {
            HostResult::Exit(status) => json!({"status": status}),
            HostResult::Signal(signal) => json!({"signal": signal}),
            HostResult::Value(value) => json!({"value": value}),
            HostResult::Raised(text) => json!({"error": text}),
            HostResult::TimedOut(limit) => json!({"message": result.describe(), "limit": time(*limit)}),
            // It includes output of the host but no secrets: secrets in the error's argv are masked.
            HostResult::Failed(error) => serde_json::to_value(error)?,
            HostResult::Interrupted => json!({}),
            HostResult::Copied(progress) => {
                json!({
                    "files": progress.files,
                    "bytes": progress.bytes,
                    "resumed": progress.resumed,
                    "unchanged": progress.unchanged,
                })
            }
            HostResult::Internal(message)
            | HostResult::NotCopied(message)
            | HostResult::Undecodable(message)
            | HostResult::NotStarted(message)
            | HostResult::Lost(message) => {
                json!({"message": message})
            }
        };
        if let Value::Object(more) = more {
            line.extend(more);
        }
        write(to.out, line)
    }
}

/// Seconds, rounded to milliseconds.
fn time(at: Duration) -> Value {
    Value::from((at.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn write(to: &mut dyn Write, line: Map<String, Value>) -> io::Result<()> {
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// The number of bytes at the end that begin a UTF-8 sequence which the next chunk may complete.
fn incomplete(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            0b1000_0000..=0b1011_1111 => continue,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

impl Printer for JsonLines {
    fn event(&mut self, to: &mut Streams<'_>, at: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        match event {
            HostEvent::Started(host) => {
                let line = self.line("start", at, Some(*host));
                write(to.out, line)
            }
            HostEvent::Progress(host, progress) => self.moved(to, at, *host, *progress),
            HostEvent::Output(host, stream, data) => self.output(to, at, *host, *stream, data),
            HostEvent::Ended(host, result) => self.end(to, at, *host, result),
        }
    }

    fn finish(&mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<()> {
        for host in 0..self.outcomes.len() {
            if self.outcomes[host].is_none() {
                self.end(to, at, HostId(host), &HostResult::Interrupted)?;
            }
        }
        let counts = Counts::of(self.outcomes.iter().flatten().copied());
        let mut line = self.line("summary", at, None);
        line.insert("hosts".to_owned(), self.hosts.len().into());
        let outcomes = counts.iter().map(|(outcome, count)| (outcome.word().to_owned(), count.into()));
        line.insert("outcomes".to_owned(), Value::Object(outcomes.collect()));
        line.insert("exit".to_owned(), counts.exit_status().into());
        write(to.out, line)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Step, hosts, refused, run};
    use super::*;

    #[test]
    fn every_event_is_an_object() {
        let steps = [
            Step::Start(0),
            Step::Out(0, b"a\n"),
            Step::Err(0, b"\xff\n"),
            Step::End(0, HostResult::Exit(3)),
            Step::End(1, refused("no key fits")),
            Step::End(2, HostResult::Value(json!({"a": 1}))),
            Step::Start(3),
        ];
        let (out, err) = run(&mut JsonLines::new(hosts(&["a", "b", "c", "d"])), &steps);
        let expected = r#"{"event":"start","host":"a","schema":1,"time":0.25}
{"data":"a\n","event":"stdout","host":"a","schema":1,"time":0.5}
{"base64":true,"data":"/wo=","event":"stderr","host":"a","schema":1,"time":0.75}
{"event":"end","host":"a","outcome":"failed","schema":1,"status":3,"time":1.0}
{"argv":[],"event":"end","hint":"check the key","hop":"ssh.x","host":"b","kind":"authentication_failed","message":"no key fits","outcome":"refused","output":[],"schema":1,"signal":null,"stage":"authenticate","status":null,"time":1.25}
{"event":"end","host":"c","outcome":"ok","schema":1,"time":1.5,"value":{"a":1}}
{"event":"start","host":"d","schema":1,"time":1.75}
{"event":"end","host":"d","outcome":"interrupted","schema":1,"time":1.75}
{"event":"summary","exit":130,"hosts":4,"outcomes":{"failed":1,"interrupted":1,"ok":1,"refused":1},"schema":1,"time":1.75}
"#;
        assert_eq!((out.as_str(), err.as_str()), (expected, ""));
    }

    #[test]
    fn utf8_sequences_are_not_split_between_chunks() {
        let steps = [
            Step::Out(0, b"\xe2"),
            Step::Out(0, b"\x82"),
            Step::Out(0, b"\xac\xc3"),
            Step::Out(0, b"x"),
            Step::Err(0, b"\xf0\x9f"),
            Step::End(0, HostResult::Exit(0)),
        ];
        let (out, _) = run(&mut JsonLines::new(hosts(&["a"])), &steps);
        let data: Vec<String> = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line.get("data").is_some())
            .map(|line| format!("{} {} {}", line["event"].as_str().unwrap(), line["data"], line["base64"]))
            .collect();
        assert_eq!(data, ["stdout \"€\" null", "stdout \"w3g=\" true", "stderr \"8J8=\" true"]);
    }
}
