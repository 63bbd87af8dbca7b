//! What a program has said lately, for errors and exit rules.
//!
//! Bounded in lines and bytes per source. Text that was sent as a secret is masked in the copies
//! for people; exit rules see what was really shown.

use std::collections::{BTreeSet, VecDeque};

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
    /// The numbers of lines that a rule has acted on.
    explained: BTreeSet<u64>,
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
            let Some((number, oldest)) = kept.lines.pop_front() else { break };
            self.explained.remove(&number);
            kept.bytes -= oldest.len();
        }
    }

    /// Notes that a rule has acted on the last line.
    pub(super) fn explain_last(&mut self) {
        self.explained.extend(self.next.checked_sub(1));
    }

    /// Every line kept of `source`, or those on which no rule has acted, in the order in which they came.
    pub(super) fn lines(&self, source: Source, unexplained: bool) -> impl Iterator<Item = &[u8]> {
        let link = self.link.lines.iter().filter(move |_| source.covers(Source::Link));
        let diag = self.diag.lines.iter().filter(move |_| source.covers(Source::Diag));
        let mut merged: Vec<_> = link.chain(diag).collect();
        merged.sort_by_key(|(number, _)| *number);
        merged
            .into_iter()
            .filter(move |(number, _)| !(unexplained && self.explained.contains(number)))
            .map(|(_, line)| line.as_slice())
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

/// A line in the form in which messages quote it: without space at its ends, cut, and with every character escaped
/// that a terminal would act on or that changes the direction of text.
pub(super) fn quoted(line: &str) -> String {
    let line = line.trim_matches([' ', '\t', '\r']);
    let mut text = String::new();
    for (index, character) in line.chars().enumerate() {
        if index == CHARACTERS_QUOTED {
            text.push_str("...");
            break;
        }
        match u32::from(character) {
            code @ (0..=0x1f | 0x7f..=0x9f) => text.push_str(&format!("\\x{code:02x}")),
            code @ (0x200b..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff) => {
                text.push_str(&format!("\\u{code:04x}"));
            }
            _ => text.push(character),
        }
    }
    text
}

/// The characters quoted of one line.
const CHARACTERS_QUOTED: usize = 160;

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
        let all: Vec<_> = history.lines(Source::Any, false).collect();
        assert_eq!(all.len(), 2 * LINES_KEPT);
        assert_eq!(all[..3], [&b"link 0"[..], b"diag 0", b"link 1"]);
        assert_eq!(history.lines(Source::Diag, false).count(), LINES_KEPT);
    }

    #[test]
    fn its_bytes_are_bounded() {
        let mut history = History::default();
        for _ in 0..90 {
            history.push(Source::Diag, &[b'x'; 4096]);
        }
        assert!(history.lines(Source::Diag, false).map(<[u8]>::len).sum::<usize>() <= BYTES_KEPT);
    }

    #[test]
    fn quoted_lines_are_cut_and_escaped() {
        assert_eq!(quoted(" fatal: no\x1b[2Jshell \r"), "fatal: no\\x1b[2Jshell");
        assert_eq!(quoted("a\u{9b}b\u{202e}c\u{7f}"), "a\\x9bb\\u202ec\\x7f");
        assert_eq!(quoted(&"y".repeat(500)), format!("{}...", "y".repeat(160)));
        assert_eq!(quoted("g\u{fc}ltig"), "g\u{fc}ltig");
    }

    #[test]
    fn secrets_are_masked_for_people() {
        let sent = [Zeroizing::new("hunter2".to_owned()), Zeroizing::new(String::new())];
        assert_eq!(presentable(b"you typed hunter2!", &sent), "you typed ********!");
    }
}
