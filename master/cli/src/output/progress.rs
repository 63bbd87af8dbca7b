//! A line on the terminal that says how far the run is.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use mitogen::files;
use mitogen::targets::fold;

use super::{HostId, Streams, Summary};
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
    /// Files on their way, by host, and when the first of them was seen.
    moved: BTreeMap<HostId, files::TransferProgress>,
    since: Option<Duration>,
}

impl Progress {
    /// For a terminal with this many columns.
    pub fn new(width: usize) -> Self {
        Self { width, shown: false, last: None, moved: BTreeMap::new(), since: None }
    }

    /// Notes how far a host's files are.
    pub fn moved(&mut self, host: HostId, progress: files::TransferProgress) {
        self.moved.insert(host, progress);
    }

    /// How far all files are, how fast, and how long it will take.
    fn files(&mut self, at: Duration) -> String {
        let sum = |part: fn(&files::TransferProgress) -> u64| self.moved.values().map(part).sum::<u64>();
        let (bytes, total) = (sum(|moved| moved.bytes), sum(|moved| moved.total_bytes));
        if total == 0 {
            return String::new();
        }
        let since = *self.since.get_or_insert(at);
        // What an earlier attempt had brought says nothing about the speed of this one.
        let fresh = bytes.saturating_sub(sum(|moved| moved.resumed)) as f64;
        let share = bytes as f64 / total as f64;
        let filled = ((share * BAR as f64) as usize).min(BAR);
        let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR - filled));
        let mut text = format!("{bar} {:3.0}% {}/{}", share * 100.0, size(bytes as f64), size(total as f64));
        let speed = fresh / at.saturating_sub(since).as_secs_f64();
        if speed.is_finite() && speed >= 1.0 {
            let left = (total.saturating_sub(bytes) as f64 / speed).ceil() as u64;
            text.push_str(&format!(" {}/s {}:{:02} left", size(speed), left / 60, left % 60));
        }
        text.push_str("; ");
        text
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
        let files = self.files(at);
        let line = format!(
            "{files}{done}/{total} done{}; waiting for {}{more}",
            parts.concat(),
            fold(&pending[..named])
        );
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

/// Cells of the bar.
const BAR: usize = 20;

/// A number of bytes, for people.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes, 0);
    while number >= 1024.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number:.0} B") } else { format!("{number:.1} {}", units[unit]) }
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
    fn files_on_their_way_have_a_bar() {
        let summary = Summary::new(hosts(&["a", "b"]), Paint(false));
        let mut progress = Progress::new(100);
        let mib = 1 << 20;
        let all = files::TransferProgress::of_total(0, 4 * mib);
        progress.moved(HostId(0), all);
        let moved = |bytes| {
            let mut moved = all;
            (moved.bytes, moved.resumed) = (bytes, mib);
            moved
        };
        progress.moved(HostId(1), moved(mib));
        let expected = "\r[##------------------]  12% 1.0 MiB/8.0 MiB; 0/2 done; waiting for a,b\x1b[K";
        assert_eq!(shown(&mut progress, 1000, &summary), expected);
        progress.moved(HostId(1), moved(3 * mib));
        let expected = "\r[#######-------------]  38% 3.0 MiB/8.0 MiB 2.0 MiB/s 0:03 left; 0/2 done; waiting for a,b\x1b[K";
        assert_eq!(shown(&mut progress, 2000, &summary), expected);
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
