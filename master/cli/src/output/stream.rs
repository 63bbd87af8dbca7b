//! Printing output as it arrives: unchanged, or line by line with the host's name.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::event::{HostEvent, HostId, HostResult, Printer, StdStream, Streams, result_text};
use crate::color::Palette;

/// Passes the output of a single target through unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Printer for Raw {
    fn event(&mut self, to: &mut Streams<'_>, _: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        match event {
            HostEvent::Output(_, stream, data) => write(to.of(*stream), data),
            HostEvent::Ended(_, result) => match result_text(result) {
                Some((stream, text)) => write(to.of(stream), &text),
                None => Ok(()),
            },
            HostEvent::Started(_) | HostEvent::Progress(..) => Ok(()),
        }
    }

    fn finish(&mut self, to: &mut Streams<'_>, _: Duration) -> io::Result<()> {
        to.out.flush()?;
        to.err.flush()
    }
}

/// Writes and flushes: the data may be a prompt.
fn write(to: &mut dyn Write, data: &[u8]) -> io::Result<()> {
    to.write_all(data)?;
    to.flush()
}

/// The longest line in bytes. A longer one is split, so that a host that never ends its line cannot use
/// unlimited memory.
const MAX_LINE: usize = 1024 * 1024;

/// Prints whole lines, each prefixed with the name of its host. The bytes of a line are unchanged; an
/// unterminated last line gets a newline.
#[derive(Clone, Debug)]
pub struct Prefixed {
    hosts: Arc<[String]>,
    palette: Palette,
    /// Lines that have not ended yet.
    partial: HashMap<(HostId, StdStream), Vec<u8>>,
}

impl Prefixed {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, palette: Palette) -> Self {
        Self { hosts, palette, partial: HashMap::new() }
    }

    fn output(
        &mut self,
        to: &mut Streams<'_>,
        host: HostId,
        stream: StdStream,
        data: &[u8],
    ) -> io::Result<()> {
        let prefix = self.palette.host(&format!("{}:", self.hosts[host.0])).into_bytes();
        let partial = self.partial.entry((host, stream)).or_default();
        // One write for all lines of a chunk, so that the output of other processes is less likely to
        // come between them.
        let mut lines = Vec::new();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                write_line(&mut lines, &prefix, partial);
                partial.clear();
            } else if partial.len() >= MAX_LINE {
                for part in partial.chunks(MAX_LINE) {
                    write_line(&mut lines, &prefix, part);
                }
                partial.clear();
            }
        }
        if lines.is_empty() { Ok(()) } else { write(to.of(stream), &lines) }
    }

    /// Prints the host's unterminated lines.
    fn flush(&mut self, to: &mut Streams<'_>, host: HostId) -> io::Result<()> {
        for stream in [StdStream::Stdout, StdStream::Stderr] {
            if let Some(partial) = self.partial.remove(&(host, stream)).filter(|partial| !partial.is_empty())
            {
                let prefix = self.palette.host(&format!("{}:", self.hosts[host.0])).into_bytes();
                let mut line = Vec::new();
                write_line(&mut line, &prefix, &partial);
                write(to.of(stream), &line)?;
            }
        }
        Ok(())
    }

    fn ended(&mut self, to: &mut Streams<'_>, host: HostId, result: &HostResult) -> io::Result<()> {
        if let Some((stream, text)) = result_text(result) {
            self.flush(to, host)?;
            self.output(to, host, stream, &text)?;
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

impl Printer for Prefixed {
    fn event(&mut self, to: &mut Streams<'_>, _: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        match event {
            HostEvent::Started(_) | HostEvent::Progress(..) => Ok(()),
            HostEvent::Output(host, stream, data) => self.output(to, *host, *stream, data),
            HostEvent::Ended(host, result) => self.ended(to, *host, result),
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
    fn the_output_of_a_single_target_is_passed_through() {
        let steps = [
            Step::Start(0),
            Step::Out(0, b"a\xff"),
            Step::Err(0, b"warn"),
            Step::Out(0, b"\0b\r"),
            Step::End(0, HostResult::Exit(3)),
        ];
        assert_eq!(run_bytes(&mut Raw, &steps), (b"a\xff\0b\r".to_vec(), b"warn".to_vec()));
        let value = HostResult::Value(json!({"a": [1, null]}));
        assert_eq!(run(&mut Raw, &[Step::End(0, value)]).0, "{\"a\":[1,null]}\n");
        assert_eq!(run(&mut Raw, &[Step::End(0, HostResult::Raised("T\nE: x".into()))]).1, "T\nE: x\n");
    }

    #[test]
    fn lines_are_prefixed_with_their_host() {
        let mut printer = Prefixed::new(hosts(&["web1", "web2"]), Palette(false));
        let steps = [
            Step::Out(0, b"one\ntw"),
            Step::Out(1, b"eins\n\nzwei"),
            Step::Err(0, b"oops"),
            Step::Out(0, b"o\nthree"),
            Step::Err(1, b"a\nb\n"),
            Step::End(0, HostResult::Exit(0)),
            Step::Out(1, b"!\n"),
            Step::End(1, HostResult::Value(json!("x"))),
        ];
        let (out, err) = run(&mut printer, &steps);
        assert_eq!(out, "web1: one\nweb2: eins\nweb2: \nweb1: two\nweb1: three\nweb2: zwei!\nweb2: \"x\"\n");
        assert_eq!(err, "web2: a\nweb2: b\nweb1: oops\n");
    }

    #[test]
    fn the_bytes_of_lines_are_unchanged() {
        let mut printer = Prefixed::new(hosts(&["h"]), Palette(true));
        let (out, _) = run_bytes(&mut printer, &[Step::Out(0, b"\xff\0\r\n\x1b[1m"), Step::Out(0, b"x")]);
        assert_eq!(out, b"\x1b[36mh:\x1b[0m \xff\0\r\n\x1b[36mh:\x1b[0m \x1b[1mx\n");
    }

    #[test]
    fn endless_lines_are_split() {
        static LONG: [u8; MAX_LINE + 5] = [b'x'; MAX_LINE + 5];
        let mut printer = Prefixed::new(hosts(&["h"]), Palette(false));
        let (out, _) = run_bytes(&mut printer, &[Step::Out(0, &LONG), Step::Out(0, b"y\n")]);
        let lengths: Vec<usize> = out.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lengths, [MAX_LINE + 3, 8, 4, 0]);
    }
}
