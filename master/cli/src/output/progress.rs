//! The progress line on the terminal.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use mitogen::files;
use mitogen::targets::fold;

use super::Summary;
use super::event::{HostId, Streams};
use crate::exit::HostOutcome;

/// Runs shorter than this show no progress.
const DELAY: Duration = Duration::from_secs(1);
/// The least time between two updates.
const INTERVAL: Duration = Duration::from_millis(100);
/// The most hosts that are named.
const MAX_NAMES: usize = 256;
/// The width of the bar, in columns.
const BAR: usize = 20;

/// A line that says how many hosts are done and which are not. Made only if there is a terminal.
#[derive(Clone, Debug)]
pub struct ProgressLine {
    width: usize,
    shown: bool,
    last: Option<Duration>,
    /// The progress of transfers by host.
    transfers: BTreeMap<HostId, files::TransferProgress>,
    /// When the progress of a transfer was first shown: the start for the speed.
    since: Option<Duration>,
}

impl ProgressLine {
    /// For a terminal of this many columns.
    pub fn new(width: usize) -> Self {
        Self { width, shown: false, last: None, transfers: BTreeMap::new(), since: None }
    }

    /// Notes how far a host's transfer has got.
    pub fn moved(&mut self, host: HostId, progress: files::TransferProgress) {
        self.transfers.insert(host, progress);
    }

    /// The bar, the speed and the time left of all transfers together.
    fn files(&mut self, at: Duration) -> String {
        let sum = |part: fn(&files::TransferProgress) -> u64| self.transfers.values().map(part).sum::<u64>();
        let (bytes, total) = (sum(|progress| progress.bytes), sum(|progress| progress.total_bytes));
        if total == 0 {
            return String::new();
        }
        let since = *self.since.get_or_insert(at);
        // Bytes of an earlier, interrupted transfer do not count for the speed of this one.
        let fresh = bytes.saturating_sub(sum(|progress| progress.resumed)) as f64;
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

    /// Erases the line, before something else is printed.
    ///
    /// # Errors
    /// Errors of the stream.
    pub fn clear(&mut self, to: &mut Streams<'_>) -> io::Result<()> {
        if !std::mem::take(&mut self.shown) {
            return Ok(());
        }
        to.err.write_all(b"\r\x1b[K")?;
        to.err.flush()
    }

    /// Shows the line, unless it is too early for it or for an update.
    ///
    /// # Errors
    /// Errors of the stream.
    pub fn show(&mut self, to: &mut Streams<'_>, at: Duration, summary: &Summary) -> io::Result<()> {
        if at < DELAY || self.last.is_some_and(|last| at < last + INTERVAL) {
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
            if outcome != HostOutcome::Ok {
                parts.push(format!(", {count} {}", outcome.word()));
            }
        }
        // No terminal is wide enough for more names, and folding many thousands takes noticeable time.
        let pending: Vec<&str> = pending.collect();
        let named = pending.len().min(MAX_NAMES);
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

/// A number of bytes for people.
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
    use super::super::HostResult;
    use super::super::testing::hosts;
    use super::*;
    use crate::color::Palette;

    fn shown(progress: &mut ProgressLine, at: u64, summary: &Summary) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        progress
            .show(&mut Streams { out: &mut out, err: &mut err }, Duration::from_millis(at), summary)
            .unwrap();
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn the_line_appears_after_a_second_and_updates_ten_times_a_second() {
        let mut summary = Summary::new(hosts(&["web1", "web2", "web3"]), Palette(false));
        let mut progress = ProgressLine::new(60);
        summary.ended(HostId(0), &HostResult::Exit(0));
        assert_eq!(shown(&mut progress, 999, &summary), "");
        assert_eq!(shown(&mut progress, 1000, &summary), "\r1/3 done; waiting for web[2-3]\x1b[K");
        summary.ended(HostId(1), &HostResult::Exit(1));
        assert_eq!(shown(&mut progress, 1099, &summary), "");
        assert_eq!(shown(&mut progress, 1100, &summary), "\r2/3 done, 1 failed; waiting for web3\x1b[K");
        summary.ended(HostId(2), &HostResult::Exit(1));
        assert_eq!(shown(&mut progress, 1200, &summary), "\r\x1b[K");
        assert_eq!(shown(&mut progress, 1300, &summary), "");
    }

    #[test]
    fn transfers_have_a_bar_a_speed_and_a_time_left() {
        let summary = Summary::new(hosts(&["a", "b"]), Palette(false));
        let mut progress = ProgressLine::new(100);
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
    fn the_line_fits_the_terminal_and_is_erased() {
        let summary = Summary::new(hosts(&["web1", "db1", "cache1"]), Palette(false));
        let mut progress = ProgressLine::new(20);
        assert_eq!(shown(&mut progress, 2000, &summary), "\r0/3 done; waiting …\x1b[K");
        let many: Vec<String> = (0..300).map(|n| format!("h{n}")).collect();
        let many = Summary::new(many.into(), Palette(false));
        let expected = "\r0/300 done; waiting for h[0-255],…\x1b[K";
        assert_eq!(shown(&mut ProgressLine::new(80), 2000, &many), expected);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        progress.clear(&mut to).unwrap();
        progress.clear(&mut to).unwrap();
        assert_eq!(err, b"\r\x1b[K");
        assert_eq!(shown(&mut progress, 2099, &summary), "");
        assert_ne!(shown(&mut progress, 2100, &summary), "");
    }
}
