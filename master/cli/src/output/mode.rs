//! Which way to print.

use std::sync::Arc;

use super::{Diff, Gather, JsonLines, Paint, Prefixed, Raw, Report};

/// What was asked for, and what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--json`.
    pub json: bool,
    /// `--diff`.
    pub diff: bool,
    /// `-g`.
    pub gather: bool,
    /// `--fold`.
    pub fold: bool,
    /// `--no-fold`.
    pub no_fold: bool,
    /// Nothing is passed on from the targets, so that one of them has no right to raw output.
    pub plain: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// How many targets there are.
    pub targets: usize,
}

/// A way to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Events as JSON lines.
    Json,
    /// The reference and differences from it.
    Diff,
    /// Whole outputs, equal ones once.
    Folded,
    /// Whole outputs, each under its host.
    Gathered,
    /// Lines as they come, each with its host.
    Prefixed,
    /// The bytes of the only target.
    Raw,
}

impl Mode {
    /// Programs get what they asked for; one target's output is passed on untouched unless `-g` or
    /// `--fold` asks for a title; on a terminal equal outputs of several are folded; elsewhere, and with
    /// `--no-fold`, lines come as they are printed.
    pub fn choose(wishes: Wishes) -> Self {
        let Wishes { json, diff, gather, fold, no_fold, plain, terminal, targets } = wishes;
        match () {
            () if json => Self::Json,
            () if diff => Self::Diff,
            () if gather && no_fold => Self::Gathered,
            () if gather || fold => Self::Folded,
            () if targets == 1 && !plain => Self::Raw,
            () if terminal && !no_fold => Self::Folded,
            () => Self::Prefixed,
        }
    }

    /// The report that prints so.
    pub fn report(self, hosts: &Arc<[String]>, paint: Paint) -> Box<dyn Report> {
        let hosts = Arc::clone(hosts);
        match self {
            Self::Json => Box::new(JsonLines::new(hosts)),
            Self::Diff => Box::new(Diff::new(hosts, paint)),
            Self::Folded => Box::new(Gather::new(hosts, paint, true)),
            Self::Gathered => Box::new(Gather::new(hosts, paint, false)),
            Self::Prefixed => Box::new(Prefixed::new(hosts, paint)),
            Self::Raw => Box::new(Raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_follows_the_wishes() {
        let piped = Wishes { targets: 3, ..Wishes::default() };
        let terminal = Wishes { terminal: true, ..piped };
        let one = Wishes { targets: 1, ..terminal };
        let table = [
            (piped, Mode::Prefixed),
            (terminal, Mode::Folded),
            (one, Mode::Raw),
            (Wishes { no_fold: true, ..terminal }, Mode::Prefixed),
            (Wishes { fold: true, ..piped }, Mode::Folded),
            (Wishes { gather: true, ..piped }, Mode::Folded),
            (Wishes { gather: true, no_fold: true, ..terminal }, Mode::Gathered),
            (Wishes { gather: true, ..one }, Mode::Folded),
            (Wishes { diff: true, ..piped }, Mode::Diff),
            (Wishes { json: true, gather: true, ..one }, Mode::Json),
        ];
        for (wishes, mode) in table {
            assert_eq!(Mode::choose(wishes), mode, "{wishes:?}");
        }
    }
}
