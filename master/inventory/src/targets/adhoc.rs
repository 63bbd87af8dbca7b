//! Targets for ssh that no profile describes: `root@web1:2222`.

use std::fmt;

use super::expression::ExpressionError;
use super::nodeset::NodeSet;

/// A machine to be reached with ssh, without a profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdHoc {
    /// The user to log in as; `None` leaves it to ssh.
    pub user: Option<String>,
    /// The host's name or address, an IPv6 address without its brackets.
    pub host: String,
    /// The port; `None` leaves it to ssh.
    pub port: Option<u16>,
}

impl AdHoc {
    /// Whether a term of a target expression is meant as one: it has an `@` that is not its first
    /// letter, or begins with `ssh:`.
    pub(super) fn is_meant(term: &str) -> bool {
        term.starts_with("ssh:") || term.find('@').is_some_and(|at| at > 0)
    }

    /// Reads `[ssh:][user@]host[:port]`, the host being a node set.
    pub(super) fn parse(term: &str) -> Result<Vec<Self>, ExpressionError> {
        let bad = |message: &str| ExpressionError::AdHoc { text: masked(term), message: message.to_owned() };
        let address = term.strip_prefix("ssh:").unwrap_or(term);
        let (user, place) = match address.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, address),
        };
        if user.is_some_and(str::is_empty) {
            return Err(bad("the user's name is empty"));
        }
        if user.is_some_and(|user| user.contains(':')) {
            return Err(bad("passwords do not belong on the command line; use -k to be asked for it"));
        }
        let (host, port) = split_port(place);
        let port = match port {
            None => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
                _ => return Err(bad("the port is not a number from 1 to 65535")),
            },
        };
        // A leading dash would reach ssh as an option.
        if host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
            return Err(bad("there is no host name in it"));
        }
        let hosts = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) if address.contains(':') => vec![address.to_owned()],
            _ => NodeSet::parse(host)?.expand()?,
        };
        Ok(hosts.into_iter().map(|host| Self { user: user.map(str::to_owned), host, port }).collect())
    }
}

/// The port behind the last colon, unless the colons are those of an IPv6 address.
fn split_port(place: &str) -> (&str, Option<&str>) {
    if let Some(end) = place.find("]:").filter(|_| place.starts_with('[')) {
        return (&place[..=end], Some(&place[end + 2..]));
    }
    match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (place, None),
    }
}

/// The term as it may be shown: what looks like a password is left out.
fn masked(term: &str) -> String {
    let start = term.strip_prefix("ssh:").map_or(0, |_| 4);
    let Some(at) = term.rfind('@').filter(|at| *at > start) else { return term.to_owned() };
    match term[start..at].find(':') {
        Some(colon) => format!("{}:…{}", &term[..start + colon], &term[at..]),
        None => term.to_owned(),
    }
}

impl fmt::Display for AdHoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let table: &[(&str, &[&str])] = &[
            ("root@web", &["root@web"]),
            ("ssh:web", &["web"]),
            ("ssh:root@web:2222", &["root@web:2222"]),
            ("a@b@web", &["a@b@web"]),
            ("root@web[1-2]:22", &["root@web1:22", "root@web2:22"]),
            ("ssh:[::1]", &["[::1]"]),
            ("root@[fe80::1%eth0]:22", &["root@[fe80::1%eth0]:22"]),
            ("root@fe80::1", &["root@[fe80::1]"]),
        ];
        for (text, expected) in table {
            assert!(AdHoc::is_meant(text), "{text}");
            let read: Vec<String> = AdHoc::parse(text).unwrap().iter().map(AdHoc::to_string).collect();
            assert_eq!(read, *expected, "{text}");
        }
        for text in ["web", "@web", "web:22", "web/web01"] {
            assert!(!AdHoc::is_meant(text), "{text}");
        }
    }

    #[test]
    fn faults_are_named_and_passwords_are_not_repeated() {
        let table = [
            ("root@", "`root@`: there is no host name in it"),
            ("ssh:@web", "`ssh:@web`: the user's name is empty"),
            ("root@web:x", "`root@web:x`: the port is not a number from 1 to 65535"),
            ("root@web:0", "`root@web:0`: the port is not a number from 1 to 65535"),
            ("root@web:+22", "`root@web:+22`: the port is not a number from 1 to 65535"),
            ("root@-oProxyCommand=x", "`root@-oProxyCommand=x`: there is no host name in it"),
            (
                "root:hunter2@web",
                "`root:…@web`: passwords do not belong on the command line; use -k to be asked for it",
            ),
            (
                "ssh:root:hunter2@web",
                "`ssh:root:…@web`: passwords do not belong on the command line; use -k to be asked for it",
            ),
            ("root@web[2-1]", "`web[2-1]`: the range `2-1` runs backwards"),
        ];
        for (text, message) in table {
            assert_eq!(AdHoc::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
