//! Report, summary and progress together.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mitogen::targets::fold;

use super::{Event, Mode, Paint, Progress, Report, Streams, Summary};

/// All that a run prints: feed it every event, tell it the time now and then, and finish it.
pub struct Presenter {
    report: Box<dyn Report>,
    summary: Summary,
    progress: Option<Progress>,
    /// Whether failures are told at the end; JSON has its own way to tell.
    tells: bool,
    /// Whether events are printed as they come, so that the progress line must make room for them.
    live: bool,
}

impl Presenter {
    /// Prints in this mode. `out` and `err` say whether the streams get colours; `progress` is for a
    /// terminal only; `quiet` leaves out progress and summary.
    pub fn new(
        mode: Mode,
        hosts: &Arc<[String]>,
        out: Paint,
        err: Paint,
        progress: Option<Progress>,
        quiet: bool,
    ) -> Self {
        Self {
            report: mode.report(hosts, out),
            summary: Summary::new(Arc::clone(hosts), err),
            // Raw output has its own idea of where the cursor is.
            progress: progress.filter(|_| !quiet && mode != Mode::Raw),
            tells: !quiet && mode != Mode::Json,
            live: !matches!(mode, Mode::Folded | Mode::Diff),
        }
    }

    /// Tells all that is known of failed connections at the end.
    #[must_use]
    pub fn detailed(mut self, detailed: bool) -> Self {
        self.summary = self.summary.detailed(detailed);
        self
    }

    /// Takes an event; `at` is the time since the run began.
    ///
    /// # Errors
    /// Of the streams.
    pub fn event(&mut self, to: &mut Streams<'_>, at: Duration, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Ended(host, end) => self.summary.ended(*host, end),
            Event::Moved(host, moved) => {
                if let Some(progress) = &mut self.progress {
                    progress.moved(*host, *moved);
                }
                // Nothing is printed that the line would have to make room for.
                if self.tells {
                    return self.tick(to, at);
                }
            }
            Event::Started(_) | Event::Output(..) => {}
        }
        if let Some(progress) = self.progress.as_mut().filter(|_| self.live) {
            progress.clear(to)?;
        }
        self.report.event(to, at, event)?;
        self.tick(to, at)
    }

    /// Lets the progress line move on.
    ///
    /// # Errors
    /// Of the streams.
    pub fn tick(&mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<()> {
        match &mut self.progress {
            Some(progress) => progress.show(to, at, &self.summary),
            None => Ok(()),
        }
    }

    /// Prints what has arrived and who is waited for, after the user's first interrupt.
    ///
    /// # Errors
    /// Of the streams.
    pub fn interrupted(&mut self, to: &mut Streams<'_>) -> io::Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.clear(to)?;
        }
        self.report.so_far(to)?;
        let pending = fold(self.summary.pending());
        let line = format!("mitogen: interrupted; waiting for {pending}; press Ctrl-C again to kill\n");
        to.err.write_all(line.as_bytes())?;
        to.err.flush()
    }

    /// What is known so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Prints what is still kept and tells of failures. The exit status of the run.
    ///
    /// # Errors
    /// Of the streams.
    pub fn finish(mut self, to: &mut Streams<'_>, at: Duration) -> io::Result<u8> {
        if let Some(progress) = &mut self.progress {
            progress.clear(to)?;
        }
        self.report.finish(to, at)?;
        if self.tells {
            self.summary.write(to)?;
        }
        Ok(self.summary.exit_status())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hosts;
    use super::super::{Channel, End, HostId};
    use super::*;

    fn run(mode: Mode, quiet: bool) -> (String, String, u8) {
        let names = hosts(&["a1", "a2"]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        let paint = Paint(false);
        let mut presenter = Presenter::new(mode, &names, paint, paint, Some(Progress::new(80)), quiet);
        let events = [
            Event::Started(HostId(0)),
            Event::Output(HostId(0), Channel::Stdout, b"x\n"),
            Event::Ended(HostId(0), &End::Exit(3)),
            Event::Ended(HostId(1), &End::Exit(0)),
        ];
        for (seconds, event) in (1..).zip(&events) {
            presenter.event(&mut to, Duration::from_secs(seconds), event).unwrap();
        }
        let status = presenter.finish(&mut to, Duration::from_secs(9)).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), status)
    }

    #[test]
    fn progress_makes_room_and_failures_are_told_last() {
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
    fn an_interrupt_shows_what_is_whole_and_who_is_pending() {
        let names = hosts(&["a1", "a2", "a3"]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        let paint = Paint(false);
        let mut presenter = Presenter::new(Mode::Folded, &names, paint, paint, None, false);
        let mut take = |presenter: &mut Presenter, events: &[Event<'_>]| {
            events.iter().for_each(|event| presenter.event(&mut to, Duration::ZERO, event).unwrap());
            presenter.interrupted(&mut to).unwrap();
        };
        let output = |host, text| Event::Output(HostId(host), Channel::Stdout, text);
        take(
            &mut presenter,
            &[output(0, b"x\n"), output(1, b"half"), Event::Ended(HostId(0), &End::Exit(0))],
        );
        take(&mut presenter, &[output(1, b" and half\n"), Event::Ended(HostId(1), &End::Exit(0))]);
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
    fn quiet_and_json_keep_standard_error_clean() {
        assert_eq!(run(Mode::Prefixed, true), ("a1: x\n".into(), String::new(), 3));
        let (out, err, status) = run(Mode::Json, true);
        assert_eq!((out.lines().count(), err.as_str(), status), (5, "", 3));
        let (_, err, _) = run(Mode::Raw, false);
        assert_eq!(err, "mitogen: 1 ok, 1 failed\n  a1: exit status 3\n");
    }
}
