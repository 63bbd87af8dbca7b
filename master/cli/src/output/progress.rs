//! A line on the terminal that says how far the run is.

use std::io;
use std::time::Duration;

use mitogen::targets::fold;

use super::{Streams, Summary};
use crate::exit::Outcome;

/// Runs shorter than this show nothing.
const QUIET: Duration = Duration::from_secs(1);
/// The line changes at most this often.
const PACE: Duration = Duration::from_millis(100);

/// Only so many hosts are named.
const MOST_NAMED: usize = 256;

/// The progress line. It is only for terminals: whoever has none does not make one.
#[derive(Clone, Debug)]
pub struct Progress {
    width: usize,
    shown: bool,
    last: Option<Duration>,
}

impl Progress {
    /// For a terminal with this many columns.
    pub fn new(width: usize) -> Self {
        Self { width, shown: false, last: None }
    }

    /// Takes the line away, before something else is printed.
    ///
    /// # Errors
    /// Of the stream.
    pub fn clear(&mut self, to: &mut Streams<'_>) -> io::Result<()> {
        if !std::mem::take(&mut self.shown) {
            return Ok(());
        }
        to.err.write_all(b"\r\x1b[K")?;
        to.err.flush()
    }

    /// Shows how far it is, if it is time to.
    ///
    /// # Errors
    /// Of the stream.
    pub fn show(&mut self, to: &mut Streams<'_>, at: Duration, summary: &Summary) -> io::Result<()> {
        if at < QUIET || self.last.is_some_and(|last| at < last + PACE) {
            return Ok(());
        }
        self.last = Some(at);
        let mut pending = summary.pending().peekable();
        if pending.peek().is_none() {
            return self.clear(to);
        }
        let mut done = 0;
        let mut parts = Vec::new();
        for (outcome, count) in summary.counts().iter() {
            done += count;
            if outcome != Outcome::Ok {
                parts.push(format!(", {count} {}", outcome.word()));
            }
        }
        // No terminal shows more names than these, and folding a hundred thousand takes its time.
        let pending: Vec<&str> = pending.collect();
        let named = pending.len().min(MOST_NAMED);
        let more = if named < pending.len() { ",…" } else { "" };
        let total = done + pending.len();
        let line =
            format!("{done}/{total} done{}; waiting for {}{more}", parts.concat(), fold(&pending[..named]));
        let line: String = if line.chars().count() >= self.width {
            line.chars().take(self.width.saturating_sub(2)).chain(['…']).collect()
        } else {
            line
        };
        self.shown = true;
        to.err.write_all(format!("\r{line}\x1b[K").as_bytes())?;
        to.err.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hosts;
    use super::super::{End, HostId, Paint};
    use super::*;

    fn shown(progress: &mut Progress, at: u64, summary: &Summary) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        progress
            .show(&mut Streams { out: &mut out, err: &mut err }, Duration::from_millis(at), summary)
            .unwrap();
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn the_line_comes_late_and_changes_slowly() {
        let mut summary = Summary::new(hosts(&["web1", "web2", "web3"]), Paint(false));
        let mut progress = Progress::new(60);
        summary.ended(HostId(0), &End::Exit(0));
        assert_eq!(shown(&mut progress, 999, &summary), "");
        assert_eq!(shown(&mut progress, 1000, &summary), "\r1/3 done; waiting for web[2-3]\x1b[K");
        summary.ended(HostId(1), &End::Exit(1));
        assert_eq!(shown(&mut progress, 1099, &summary), "");
        assert_eq!(shown(&mut progress, 1100, &summary), "\r2/3 done, 1 failed; waiting for web3\x1b[K");
        summary.ended(HostId(2), &End::Exit(1));
        assert_eq!(shown(&mut progress, 1200, &summary), "\r\x1b[K");
        assert_eq!(shown(&mut progress, 1300, &summary), "");
    }

    #[test]
    fn the_line_fits_and_goes_away() {
        let summary = Summary::new(hosts(&["web1", "db1", "cache1"]), Paint(false));
        let mut progress = Progress::new(20);
        assert_eq!(shown(&mut progress, 2000, &summary), "\r0/3 done; waiting …\x1b[K");
        let many: Vec<String> = (0..300).map(|n| format!("h{n}")).collect();
        let many = Summary::new(many.into(), Paint(false));
        let expected = "\r0/300 done; waiting for h[0-255],…\x1b[K";
        assert_eq!(shown(&mut Progress::new(80), 2000, &many), expected);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        progress.clear(&mut to).unwrap();
        progress.clear(&mut to).unwrap();
        assert_eq!(err, b"\r\x1b[K");
        assert_eq!(shown(&mut progress, 2099, &summary), "");
        assert_ne!(shown(&mut progress, 2100, &summary), "");
    }
}
