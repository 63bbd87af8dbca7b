//! Whether to use colours.

use std::ffi::OsString;

use clap::ValueEnum;

/// What `--color` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Whether to use colours on a stream. `--color` beats `NO_COLOR`, which beats `CLICOLOR_FORCE`,
    /// which beats `CLICOLOR=0`; with none of them a terminal gets colours unless it is `dumb`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_wish_wins() {
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
