//! The printer, the summary and the progress line of a run together.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mitogen::targets::fold;

use super::event::{HostEvent, HostId, Printer, StdStream, Streams};
use super::visible::VisibleStream;
use super::{Mode, ProgressLine, Summary};
use crate::color::Palette;

/// Prints a whole run: it takes every event, updates its progress line on request, and prints the summary at the end.
pub struct Presenter {
    printer: Box<dyn Printer>,
    summary: Summary,
    progress: Option<ProgressLine>,
    /// Whether failures are summed up at the end. JSON has an event for that.
    prints_summary: bool,
    /// Whether the printer prints events as they arrive, so that the progress line must be erased first.
    live: bool,
    /// Whether the printer passes output through, or encodes it.
    passes: bool,
    /// Whether standard output and standard error are made visible.
    visible: [bool; 2],
    /// Their states, by host.
    streams: HashMap<(HostId, StdStream), VisibleStream>,
}

impl Presenter {
    /// Prints in this mode. `out` and `err` are the colours of the two streams; `progress` is given on a
    /// terminal only; `quiet` suppresses progress and summary.
    pub fn new(
        mode: Mode,
        hosts: &Arc<[String]>,
        out: Palette,
        err: Palette,
        progress: Option<ProgressLine>,
        quiet: bool,
    ) -> Self {
        Self {
            printer: mode.printer(hosts, out),
            summary: Summary::new(Arc::clone(hosts), err),
            // Raw output may move the cursor itself.
            progress: progress.filter(|_| !quiet && mode != Mode::Raw),
            prints_summary: !quiet && mode != Mode::Json,
            live: !matches!(mode, Mode::Folded | Mode::Diff),
            visible: [false; 2],
            passes: matches!(mode, Mode::Raw | Mode::Json),
            streams: HashMap::new(),
        }
    }

    /// Whether the summary prints full reports of failed connections.
    #[must_use]
    pub fn detailed(mut self, detailed: bool) -> Self {
        self.summary = self.summary.detailed(detailed);
        self
    }

    /// Whether each stream is a terminal: then control characters in the output of hosts are shown instead of sent, so
    /// that no host can forge the prefix or the title of another. The output of a single target is passed through, as
    /// ssh does.
    #[must_use]
    pub fn visible(mut self, out: bool, err: bool) -> Self {
        self.visible = if self.passes { [false; 2] } else { [out, err] };
        self
    }

    /// Takes an event; `at` is the time since the run began.
    ///
    /// # Errors
    /// Errors of the streams.
    pub fn event(&mut self, to: &mut Streams<'_>, at: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        match event {
            HostEvent::Ended(host, result) => self.summary.ended(*host, result),
            HostEvent::Progress(host, progress) => {
                if let Some(line) = &mut self.progress {
                    line.moved(*host, *progress);
                }
                // Only JSON prints these events, so the line need not be erased.
                if self.prints_summary {
                    return self.tick(to, at);
                }
            }
            HostEvent::Started(_) | HostEvent::Output(..) => {}
        }
        if let Some(progress) = self.progress.as_mut().filter(|_| self.live) {
            progress.clear(to)?;
        }
        self.print(to, at, event)?;
        self.tick(to, at)
    }

    fn print(&mut self, to: &mut Streams<'_>, at: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        let is_visible = |stream| self.visible[usize::from(stream == StdStream::Stderr)];
        match event {
            HostEvent::Output(host, stream, data) if is_visible(*stream) => {
                let data = self.streams.entry((*host, *stream)).or_default().push(data);
                if data.is_empty() {
                    return Ok(());
                }
                self.printer.event(to, at, &HostEvent::Output(*host, *stream, &data))
            }
            HostEvent::Ended(host, _) => {
                for stream in [StdStream::Stdout, StdStream::Stderr] {
                    let held = self.streams.remove(&(*host, stream)).map(|mut state| state.finish());
                    if let Some(data) = held.filter(|data| !data.is_empty()) {
                        self.printer.event(to, at, &HostEvent::Output(*host, stream, &data))?;
                    }
                }
                self.printer.event(to, at, event)
            }
            _ => self.printer.event(to, at, event),
        }
    }

    /// Updates the progress line.
    ///
    /// # Errors
    /// Errors of the streams.
    pub fn tick(&mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<()> {
        match &mut self.progress {
            Some(progress) => progress.show(to, at, &self.summary),
            None => Ok(()),
        }
    }

    /// After the user's first interrupt: prints the buffered output of finished hosts, and the hosts that
    /// are still running.
    ///
    /// # Errors
    /// Errors of the streams.
    pub fn interrupted(&mut self, to: &mut Streams<'_>) -> io::Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.clear(to)?;
        }
        self.printer.so_far(to)?;
        let pending = fold(self.summary.pending());
        let line = format!("mitogen: interrupted; waiting for {pending}; press Ctrl-C again to kill\n");
        to.err.write_all(line.as_bytes())?;
        to.err.flush()
    }

    /// The results so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Prints what is still buffered and the summary. Returns the exit status of the run.
    ///
    /// # Errors
    /// Errors of the streams.
    pub fn finish(mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<u8> {
        if let Some(progress) = &mut self.progress {
            progress.clear(to)?;
        }
        self.printer.finish(to, at)?;
        if self.prints_summary {
            self.summary.write(to)?;
        }
        Ok(self.summary.exit_status())
    }
}

#[cfg(test)]
mod tests {
    use super::super::HostResult;
    use super::super::testing::hosts;
    use super::*;

    fn run(mode: Mode, quiet: bool) -> (String, String, u8) {
        let names = hosts(&["a1", "a2"]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        let palette = Palette(false);
        let mut presenter =
            Presenter::new(mode, &names, palette, palette, Some(ProgressLine::new(80)), quiet);
        let events = [
            HostEvent::Started(HostId(0)),
            HostEvent::Output(HostId(0), StdStream::Stdout, b"x\n"),
            HostEvent::Ended(HostId(0), &HostResult::Exit(3)),
            HostEvent::Ended(HostId(1), &HostResult::Exit(0)),
        ];
        for (seconds, event) in (1..).zip(&events) {
            presenter.event(&mut to, Duration::from_secs(seconds), event).unwrap();
        }
        let status = presenter.finish(&mut to, Duration::from_secs(9)).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), status)
    }

    #[test]
    fn progress_is_erased_for_output_and_failures_are_printed_last() {
        let (out, err, status) = run(Mode::Prefixed, false);
        assert_eq!((out.as_str(), status), ("a1: x\n", 3));
        assert_eq!(
            err,
            "\r0/2 done; waiting for a[1-2]\x1b[K\r\x1b[K\r0/2 done; waiting for a[1-2]\x1b[K\r\x1b[K\
             \r1/2 done, 1 failed; waiting for a2\x1b[K\r\x1b[K\
             mitogen: 1 ok, 1 failed\n  a1: exit status 3\n"
        );
    }

    #[test]
    fn output_on_a_terminal_cannot_forge_the_prefix_of_another_host() {
        let names = hosts(&["a1", "a2"]);
        let hostile: &[u8] = b"x\ra2: forged\x1b[1A\r\n\xc2";
        for terminal in [true, false] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut to = Streams { out: &mut out, err: &mut err };
            let palette = Palette(false);
            let presenter = Presenter::new(Mode::Prefixed, &names, palette, palette, None, true);
            let mut presenter = presenter.visible(terminal, terminal);
            for piece in hostile.chunks(4) {
                let event = HostEvent::Output(HostId(0), StdStream::Stdout, piece);
                presenter.event(&mut to, Duration::ZERO, &event).unwrap();
            }
            for host in [0, 1] {
                let event = HostEvent::Ended(HostId(host), &HostResult::Exit(0));
                presenter.event(&mut to, Duration::ZERO, &event).unwrap();
            }
            presenter.finish(&mut to, Duration::ZERO).unwrap();
            let expected: &[u8] = if terminal {
                b"a1: x\\ra2: forged\\u{1b}[1A\na1: \xc2\n"
            } else {
                b"a1: x\ra2: forged\x1b[1A\r\na1: \xc2\n"
            };
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
        }
    }

    #[test]
    fn an_interrupt_prints_finished_hosts_and_names_pending_ones() {
        let names = hosts(&["a1", "a2", "a3"]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        let palette = Palette(false);
        let mut presenter = Presenter::new(Mode::Folded, &names, palette, palette, None, false);
        let mut take = |presenter: &mut Presenter, events: &[HostEvent<'_>]| {
            events.iter().for_each(|event| presenter.event(&mut to, Duration::ZERO, event).unwrap());
            presenter.interrupted(&mut to).unwrap();
        };
        let output = |host, text| HostEvent::Output(HostId(host), StdStream::Stdout, text);
        take(
            &mut presenter,
            &[output(0, b"x\n"), output(1, b"half"), HostEvent::Ended(HostId(0), &HostResult::Exit(0))],
        );
        take(&mut presenter, &[output(1, b" and half\n"), HostEvent::Ended(HostId(1), &HostResult::Exit(0))]);
        let mut to = Streams { out: &mut out, err: &mut err };
        assert_eq!(presenter.finish(&mut to, Duration::ZERO).unwrap(), 130);
        let rule = "---------------";
        let expected = format!("{rule}\na1\n{rule}\nx\n{rule}\na2\n{rule}\nhalf and half\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let expected = "\
mitogen: interrupted; waiting for a[2-3]; press Ctrl-C again to kill
mitogen: interrupted; waiting for a3; press Ctrl-C again to kill
mitogen: 2 ok, 1 interrupted
  a3: interrupted
";
        assert_eq!(String::from_utf8(err).unwrap(), expected);
    }

    #[test]
    fn quiet_and_json_print_nothing_on_standard_error() {
        assert_eq!(run(Mode::Prefixed, true), ("a1: x\n".into(), String::new(), 3));
        let (out, err, status) = run(Mode::Json, true);
        assert_eq!((out.lines().count(), err.as_str(), status), (5, "", 3));
        let (_, err, _) = run(Mode::Raw, false);
        assert_eq!(err, "mitogen: 1 ok, 1 failed\n  a1: exit status 3\n");
    }
}
