//! Colours: when they are used, and what for. A colour is never the only sign of anything.

use std::ffi::OsString;

use clap::ValueEnum;

/// The values of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment disables colours
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Whether to use colours on a stream. `--color` takes precedence over `NO_COLOR`, that over
    /// `CLICOLOR_FORCE`, and that over `CLICOLOR=0`. Without any of them a terminal gets colours, unless
    /// `TERM` is `dumb`.
    pub fn enabled(self, variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set("NO_COLOR").is_some() => false,
            Self::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto if set("CLICOLOR").is_some_and(|value| value == "0") => false,
            Self::Auto => is_terminal && set("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// Wraps text in the escape sequences of colours if it holds `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette(pub bool);

impl Palette {
    /// A host's prefix, or the title of its output.
    pub fn host(self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// A failure.
    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A removed line.
    pub fn removed(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// An added line.
    pub fn added(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_takes_precedence_over_the_environment() {
        type Row<'a> = (ColorChoice, &'a [(&'a str, &'a str)], bool, bool);
        let table: &[Row<'_>] = &[
            (ColorChoice::Auto, &[], true, true),
            (ColorChoice::Auto, &[], false, false),
            (ColorChoice::Auto, &[("TERM", "dumb")], true, false),
            (ColorChoice::Auto, &[("NO_COLOR", "1")], true, false),
            (ColorChoice::Auto, &[("NO_COLOR", "")], true, true),
            (ColorChoice::Auto, &[("CLICOLOR_FORCE", "1")], false, true),
            (ColorChoice::Auto, &[("CLICOLOR_FORCE", "0")], false, false),
            (ColorChoice::Auto, &[("CLICOLOR", "0")], true, false),
            (ColorChoice::Auto, &[("CLICOLOR", "0"), ("CLICOLOR_FORCE", "1")], true, true),
            (ColorChoice::Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false),
            (ColorChoice::Always, &[("NO_COLOR", "1")], false, true),
            (ColorChoice::Never, &[("CLICOLOR_FORCE", "1")], true, false),
        ];
        for (choice, variables, terminal, expected) in table {
            let variable = |name: &str| {
                variables.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value))
            };
            assert_eq!(choice.enabled(variable, *terminal), *expected, "{choice:?} {variables:?} {terminal}");
        }
    }
}
