//! How output is printed: which printer the options and the terminal call for.

use std::sync::Arc;

use super::event::Printer;
use super::{Diff, Gather, JsonLines, Prefixed, Raw};
use crate::color::Palette;

/// What the options ask for, and the circumstances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputPrefs {
    /// `--json`.
    pub json: bool,
    /// `--diff`.
    pub diff: bool,
    /// `--gather`.
    pub gather: bool,
    /// `--fold`.
    pub fold: bool,
    /// `--no-fold`.
    pub no_fold: bool,
    /// The targets print nothing themselves, so the output of a single target is not passed through.
    pub no_raw: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// The number of targets.
    pub targets: usize,
}

/// A way to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Events as JSON lines.
    Json,
    /// The most common output, and how the others differ.
    Diff,
    /// Whole outputs, identical ones once.
    Folded,
    /// Whole outputs, each under its host.
    Gathered,
    /// Lines as they arrive, each prefixed with its host.
    Prefixed,
    /// The unchanged output of the only target.
    Raw,
}

impl Mode {
    /// `--json` and `--diff` come first. A single target's output is passed through unchanged unless
    /// `--gather` or `--fold` asks for a title. With several targets identical outputs are folded on a
    /// terminal; otherwise, and with `--no-fold`, lines are printed as they arrive.
    pub fn choose(prefs: OutputPrefs) -> Self {
        let OutputPrefs { json, diff, gather, fold, no_fold, no_raw, terminal, targets } = prefs;
        match () {
            () if json => Self::Json,
            () if diff => Self::Diff,
            () if gather && no_fold => Self::Gathered,
            () if gather || fold => Self::Folded,
            () if targets == 1 && !no_raw => Self::Raw,
            () if terminal && !no_fold => Self::Folded,
            () => Self::Prefixed,
        }
    }

    /// A printer of this mode for hosts of these names.
    pub fn printer(self, hosts: &Arc<[String]>, palette: Palette) -> Box<dyn Printer> {
        let hosts = Arc::clone(hosts);
        match self {
            Self::Json => Box::new(JsonLines::new(hosts)),
            Self::Diff => Box::new(Diff::new(hosts, palette)),
            Self::Folded => Box::new(Gather::new(hosts, palette, true)),
            Self::Gathered => Box::new(Gather::new(hosts, palette, false)),
            Self::Prefixed => Box::new(Prefixed::new(hosts, palette)),
            Self::Raw => Box::new(Raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_the_terminal_choose_the_mode() {
        let piped = OutputPrefs { targets: 3, ..OutputPrefs::default() };
        let terminal = OutputPrefs { terminal: true, ..piped };
        let one = OutputPrefs { targets: 1, ..terminal };
        let table = [
            (piped, Mode::Prefixed),
            (terminal, Mode::Folded),
            (one, Mode::Raw),
            (OutputPrefs { no_fold: true, ..terminal }, Mode::Prefixed),
            (OutputPrefs { fold: true, ..piped }, Mode::Folded),
            (OutputPrefs { gather: true, ..piped }, Mode::Folded),
            (OutputPrefs { gather: true, no_fold: true, ..terminal }, Mode::Gathered),
            (OutputPrefs { gather: true, ..one }, Mode::Folded),
            (OutputPrefs { diff: true, ..piped }, Mode::Diff),
            (OutputPrefs { json: true, gather: true, ..one }, Mode::Json),
        ];
        for (prefs, mode) in table {
            assert_eq!(Mode::choose(prefs), mode, "{prefs:?}");
        }
    }
}
