//! Parses the arguments of sudo itself that `sudo_args` may contain.
//!
//! They are parsed as getopt does it: clusters (`-EH`), values joined or apart (`-uweb`, `-u web`,
//! `--user=web`, `--user web`).

/// The options that the arguments set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) preserve_env: bool,
    pub(crate) set_home: bool,
    pub(crate) login: bool,
    pub(crate) username: Option<String>,
    pub(crate) selinux_role: Option<String>,
    pub(crate) selinux_type: Option<String>,
}

/// Parses `arguments`; the error names the first one that is not supported.
pub(crate) fn parse(arguments: &[String]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(long) = argument.strip_prefix("--") {
            let (name, joined) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let Some((letter, takes_value)) = LONG
                .iter()
                .find(|(_, long)| *long == name)
                .map(|(letter, _)| (*letter, VALUED.contains(letter)))
            else {
                return Err(format!("argument {argument:?} is not supported"));
            };
            let value = match (takes_value, joined) {
                (false, None) => None,
                (false, Some(_)) => return Err(format!("argument {argument:?} takes no value")),
                (true, Some(value)) => Some(value),
                (true, None) => {
                    Some(rest.next().ok_or_else(|| format!("argument {argument:?} needs a value"))?.as_str())
                }
            };
            given.set(letter, value);
        } else if let Some(cluster) = argument.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            for (at, letter) in cluster.char_indices() {
                if VALUED.contains(&letter) {
                    let joined = &cluster[at + letter.len_utf8()..];
                    let value = if joined.is_empty() {
                        rest.next().ok_or_else(|| format!("argument -{letter} needs a value"))?
                    } else {
                        joined
                    };
                    given.set(letter, Some(value));
                    break;
                }
                if !LONG.iter().any(|(known, _)| *known == letter) {
                    return Err(format!("argument -{letter} is not supported"));
                }
                given.set(letter, None);
            }
        } else {
            return Err(format!("argument {argument:?} is not an option of sudo"));
        }
    }
    Ok(given)
}

impl Given {
    /// Sets the option of a known letter. `-n` and `-S` are ignored: the transport decides whether sudo may ask, and
    /// where.
    fn set(&mut self, letter: char, value: Option<&str>) {
        match letter {
            'E' => self.preserve_env = true,
            'H' => self.set_home = true,
            'i' => self.login = true,
            'u' => self.username = value.map(str::to_owned),
            'r' => self.selinux_role = value.map(str::to_owned),
            't' => self.selinux_type = value.map(str::to_owned),
            _ => {}
        }
    }
}

const VALUED: &[char] = &['u', 'r', 't'];
const LONG: &[(char, &str)] = &[
    ('E', "preserve-env"),
    ('H', "set-home"),
    ('i', "login"),
    ('u', "user"),
    ('r', "role"),
    ('t', "type"),
    ('S', "stdin"),
    ('n', "non-interactive"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str]) -> Result<Given, String> {
        parse(&arguments.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn all_getopt_forms_are_parsed() {
        let web = Some("web".to_owned());
        for arguments in [
            &["-EHi", "-u", "web"][..],
            &["-E", "-H", "-i", "-uweb"],
            &["-EHiuweb"],
            &["--preserve-env", "--set-home", "--login", "--user=web"],
            &["--preserve-env", "-n", "-HS", "-i", "--user", "web", "--stdin"],
        ] {
            let wanted = Given {
                preserve_env: true,
                set_home: true,
                login: true,
                username: web.clone(),
                ..Given::default()
            };
            assert_eq!(check(arguments), Ok(wanted), "{arguments:?}");
        }
        let wanted =
            Given { selinux_role: Some("r".into()), selinux_type: Some("t".into()), ..Given::default() };
        assert_eq!(check(&["-rr", "--type=t"]), Ok(wanted));
    }

    #[test]
    fn errors_name_the_unsupported_argument() {
        for (arguments, word) in [
            (&["-x"][..], "-x"),
            (&["-Ex"], "-x"),
            (&["--chroot=/x"], "--chroot"),
            (&["ls"], "ls"),
            (&["-u"], "-u"),
            (&["--user"], "--user"),
            (&["--login=x"], "--login"),
            (&["-"], "\"-\""),
            (&["--"], "\"--\""),
        ] {
            assert!(check(arguments).unwrap_err().contains(word), "{arguments:?}");
        }
    }
}
