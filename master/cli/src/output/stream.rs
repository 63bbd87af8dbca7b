//! Printing output as it comes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::{Channel, End, Event, HostId, Paint, Report, Streams, ending_text};

/// The bytes of a single target, untouched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Report for Raw {
    fn event(&mut self, to: &mut Streams<'_>, _: Duration, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Output(_, channel, data) => write(to.channel(*channel), data),
            Event::Ended(_, end) => match ending_text(end) {
                Some((channel, text)) => write(to.channel(channel), &text),
                None => Ok(()),
            },
            Event::Started(_) | Event::Moved(..) => Ok(()),
        }
    }

    fn finish(&mut self, to: &mut Streams<'_>, _: Duration) -> io::Result<()> {
        to.out.flush()?;
        to.err.flush()
    }
}

/// Somebody may be waiting for this very prompt, so nothing lingers in a buffer.
fn write(to: &mut dyn Write, data: &[u8]) -> io::Result<()> {
    to.write_all(data)?;
    to.flush()
}

/// A line longer than this is cut in two, so that a host that never ends its line cannot fill our
/// memory.
const LONGEST_LINE: usize = 1024 * 1024;

/// Whole lines, each with the name of its host before it. The bytes of a line are not touched; a last
/// line without an end gets one.
#[derive(Clone, Debug)]
pub struct Prefixed {
    hosts: Arc<[String]>,
    paint: Paint,
    /// The beginnings of lines that have not ended yet.
    partial: HashMap<(HostId, Channel), Vec<u8>>,
}

impl Prefixed {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, paint: Paint) -> Self {
        Self { hosts, paint, partial: HashMap::new() }
    }

    fn output(
        &mut self,
        to: &mut Streams<'_>,
        host: HostId,
        channel: Channel,
        data: &[u8],
    ) -> io::Result<()> {
        let prefix = self.paint.host(&format!("{}:", self.hosts[host.0])).into_bytes();
        let partial = self.partial.entry((host, channel)).or_default();
        // One write for all lines of a chunk, so that those of other programs do not come between.
        let mut lines = Vec::new();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                write_line(&mut lines, &prefix, partial);
                partial.clear();
            } else if partial.len() >= LONGEST_LINE {
                for part in partial.chunks(LONGEST_LINE) {
                    write_line(&mut lines, &prefix, part);
                }
                partial.clear();
            }
        }
        if lines.is_empty() { Ok(()) } else { write(to.channel(channel), &lines) }
    }

    /// Prints lines that will not end any more.
    fn flush(&mut self, to: &mut Streams<'_>, host: HostId) -> io::Result<()> {
        for channel in [Channel::Stdout, Channel::Stderr] {
            if let Some(partial) = self.partial.remove(&(host, channel)).filter(|partial| !partial.is_empty())
            {
                let prefix = self.paint.host(&format!("{}:", self.hosts[host.0])).into_bytes();
                let mut line = Vec::new();
                write_line(&mut line, &prefix, &partial);
                write(to.channel(channel), &line)?;
            }
        }
        Ok(())
    }

    fn ended(&mut self, to: &mut Streams<'_>, host: HostId, end: &End) -> io::Result<()> {
        if let Some((channel, text)) = ending_text(end) {
            self.flush(to, host)?;
            self.output(to, host, channel, &text)?;
        }
        self.flush(to, host)
    }
}

fn write_line(lines: &mut Vec<u8>, prefix: &[u8], line: &[u8]) {
    lines.extend_from_slice(prefix);
    lines.push(b' ');
    lines.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        lines.push(b'\n');
    }
}

impl Report for Prefixed {
    fn event(&mut self, to: &mut Streams<'_>, _: Duration, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Started(_) | Event::Moved(..) => Ok(()),
            Event::Output(host, channel, data) => self.output(to, *host, *channel, data),
            Event::Ended(host, end) => self.ended(to, *host, end),
        }
    }

    fn finish(&mut self, to: &mut Streams<'_>, _: Duration) -> io::Result<()> {
        let mut pending: Vec<HostId> = self.partial.keys().map(|(host, _)| *host).collect();
        pending.sort_unstable();
        pending.into_iter().try_for_each(|host| self.flush(to, host))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Step, hosts, run, run_bytes};
    use super::*;

    #[test]
    fn a_single_target_is_passed_through() {
        let steps = [
            Step::Start(0),
            Step::Out(0, b"a\xff"),
            Step::Err(0, b"warn"),
            Step::Out(0, b"\0b\r"),
            Step::End(0, End::Exit(3)),
        ];
        assert_eq!(run_bytes(&mut Raw, &steps), (b"a\xff\0b\r".to_vec(), b"warn".to_vec()));
        let value = End::Value(json!({"a": [1, null]}));
        assert_eq!(run(&mut Raw, &[Step::End(0, value)]).0, "{\"a\":[1,null]}\n");
        assert_eq!(run(&mut Raw, &[Step::End(0, End::Raised("T\nE: x".into()))]).1, "T\nE: x\n");
    }

    #[test]
    fn lines_carry_their_host() {
        let mut report = Prefixed::new(hosts(&["web1", "web2"]), Paint(false));
        let steps = [
            Step::Out(0, b"one\ntw"),
            Step::Out(1, b"eins\n\nzwei"),
            Step::Err(0, b"oops"),
            Step::Out(0, b"o\nthree"),
            Step::Err(1, b"a\nb\n"),
            Step::End(0, End::Exit(0)),
            Step::Out(1, b"!\n"),
            Step::End(1, End::Value(json!("x"))),
        ];
        let (out, err) = run(&mut report, &steps);
        assert_eq!(out, "web1: one\nweb2: eins\nweb2: \nweb1: two\nweb1: three\nweb2: zwei!\nweb2: \"x\"\n");
        assert_eq!(err, "web2: a\nweb2: b\nweb1: oops\n");
    }

    #[test]
    fn bytes_of_lines_are_not_touched() {
        let mut report = Prefixed::new(hosts(&["h"]), Paint(true));
        let (out, _) = run_bytes(&mut report, &[Step::Out(0, b"\xff\0\r\n\x1b[1m"), Step::Out(0, b"x")]);
        assert_eq!(out, b"\x1b[36mh:\x1b[0m \xff\0\r\n\x1b[36mh:\x1b[0m \x1b[1mx\n");
    }

    #[test]
    fn lines_without_an_end_are_cut() {
        static LONG: [u8; LONGEST_LINE + 5] = [b'x'; LONGEST_LINE + 5];
        let mut report = Prefixed::new(hosts(&["h"]), Paint(false));
        let (out, _) = run_bytes(&mut report, &[Step::Out(0, &LONG), Step::Out(0, b"y\n")]);
        let lengths: Vec<usize> = out.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lengths, [LONGEST_LINE + 3, 8, 4, 0]);
    }
}
