//! What a program has said lately, for errors and exit rules.
//!
//! Bounded in lines and bytes per source. Text that was sent as a secret is masked in the copies
//! for people; exit rules see what was really shown.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::Source;

/// The lines kept of each source.
pub(super) const LINES_KEPT: usize = 100;
/// The bytes kept of each source.
pub(super) const BYTES_KEPT: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct History {
    link: Kept,
    diag: Kept,
    /// Numbers lines, so that the two sources can be merged as they came.
    next: u64,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl History {
    pub(super) fn push(&mut self, source: Source, line: &[u8]) {
        let number = self.next;
        self.next += 1;
        let kept = if source == Source::Link { &mut self.link } else { &mut self.diag };
        kept.bytes += line.len();
        kept.lines.push_back((number, line.to_vec()));
        while kept.lines.len() > LINES_KEPT || kept.bytes > BYTES_KEPT {
            let Some((_, oldest)) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }

    /// Every line kept of `source`, in the order in which they came.
    pub(super) fn lines(&self, source: Source) -> impl Iterator<Item = &[u8]> {
        let link = self.link.lines.iter().filter(move |_| source.covers(Source::Link));
        let diag = self.diag.lines.iter().filter(move |_| source.covers(Source::Diag));
        let mut merged: Vec<_> = link.chain(diag).collect();
        merged.sort_by_key(|(number, _)| *number);
        merged.into_iter().map(|(_, line)| line.as_slice())
    }
}

/// `line` for people: as text, with every secret that was sent masked.
pub(super) fn presentable(line: &[u8], sent: &[Zeroizing<String>]) -> String {
    let mut text = String::from_utf8_lossy(line).into_owned();
    for secret in sent.iter().filter(|secret| !secret.is_empty()) {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), MASK);
        }
    }
    text
}

/// What stands for a secret wherever people look.
pub(crate) const MASK: &str = "********";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_last_lines_of_each_source_in_their_order() {
        let mut history = History::default();
        history.push(Source::Link, b"old");
        for number in 0..LINES_KEPT {
            history.push(Source::Link, format!("link {number}").as_bytes());
            history.push(Source::Diag, format!("diag {number}").as_bytes());
        }
        let all: Vec<_> = history.lines(Source::Any).collect();
        assert_eq!(all.len(), 2 * LINES_KEPT);
        assert_eq!(all[..3], [&b"link 0"[..], b"diag 0", b"link 1"]);
        assert_eq!(history.lines(Source::Diag).count(), LINES_KEPT);
    }

    #[test]
    fn its_bytes_are_bounded() {
        let mut history = History::default();
        for _ in 0..90 {
            history.push(Source::Diag, &[b'x'; 4096]);
        }
        assert!(history.lines(Source::Diag).map(<[u8]>::len).sum::<usize>() <= BYTES_KEPT);
    }

    #[test]
    fn secrets_are_masked_for_people() {
        let sent = [Zeroizing::new("hunter2".to_owned()), Zeroizing::new(String::new())];
        assert_eq!(presentable(b"you typed hunter2!", &sent), "you typed ********!");
    }
}
