//! Targets that need no profile: `root@web1:2222`.

use std::fmt;

use super::error::ExpressionError;
use super::nodeset::NodeSet;

/// A host to connect to with ssh, without a profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AdHoc {
    /// The user to log in as; `None` for ssh's default.
    pub user: Option<String>,
    /// The host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port; `None` for ssh's default.
    pub port: Option<u16>,
}

impl AdHoc {
    /// Whether a term of a target expression is an ad-hoc target: it contains an `@` that is not its first
    /// character, or begins with `ssh:`.
    pub(super) fn is_adhoc(term: &str) -> bool {
        term.starts_with("ssh:") || term.find('@').is_some_and(|at| at > 0)
    }

    /// Parses `[ssh:][user@]host[:port]`, where the host is a node set.
    pub(super) fn parse(term: &str) -> Result<Vec<Self>, ExpressionError> {
        let bad = |message: &str| ExpressionError::AdHoc { text: masked(term), message: message.to_owned() };
        let address = term.strip_prefix("ssh:").unwrap_or(term);
        let (user, host_port) = match address.rsplit_once('@') {
            Some((user, host_port)) => (Some(user), host_port),
            None => (None, address),
        };
        if user.is_some_and(str::is_empty) {
            return Err(bad("empty user name"));
        }
        if user.is_some_and(|user| user.contains(':')) {
            return Err(bad("passwords are not accepted on the command line; use -k to be prompted for it"));
        }
        let (host, port) = split_port(host_port);
        let port = match port {
            None => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
                _ => return Err(bad("the port must be a number from 1 to 65535")),
            },
        };
        // ssh would take a leading dash as the start of an option.
        if host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
            return Err(bad("missing host name"));
        }
        let hosts = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) if address.contains(':') => vec![address.to_owned()],
            _ => NodeSet::parse(host)?.expand()?,
        };
        Ok(hosts.into_iter().map(|host| Self { user: user.map(str::to_owned), host, port }).collect())
    }
}

/// Splits at the last colon, unless the colons are part of an IPv6 address.
fn split_port(place: &str) -> (&str, Option<&str>) {
    if let Some(end) = place.find("]:").filter(|_| place.starts_with('[')) {
        return (&place[..=end], Some(&place[end + 2..]));
    }
    match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (place, None),
    }
}

/// The term without what looks like a password, for error messages.
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
    fn addresses_round_trip() {
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
            assert!(AdHoc::is_adhoc(text), "{text}");
            let read: Vec<String> = AdHoc::parse(text).unwrap().iter().map(AdHoc::to_string).collect();
            assert_eq!(read, *expected, "{text}");
        }
        for text in ["web", "@web", "web:22", "web/web01"] {
            assert!(!AdHoc::is_adhoc(text), "{text}");
        }
    }

    #[test]
    fn errors_do_not_repeat_passwords() {
        let table = [
            ("root@", "`root@`: missing host name"),
            ("ssh:@web", "`ssh:@web`: empty user name"),
            ("root@web:x", "`root@web:x`: the port must be a number from 1 to 65535"),
            ("root@web:0", "`root@web:0`: the port must be a number from 1 to 65535"),
            ("root@web:+22", "`root@web:+22`: the port must be a number from 1 to 65535"),
            ("root@-oProxyCommand=x", "`root@-oProxyCommand=x`: missing host name"),
            (
                "root:hunter2@web",
                "`root:…@web`: passwords are not accepted on the command line; use -k to be prompted for it",
            ),
            (
                "ssh:root:hunter2@web",
                "`ssh:root:…@web`: passwords are not accepted on the command line; use -k to be prompted for it",
            ),
            ("root@web[2-1]", "`web[2-1]`: the start of the range `2-1` is above its end"),
        ];
        for (text, message) in table {
            assert_eq!(AdHoc::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
