//! The end of a run: what failed, where, and why.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mitogen::ConnectError;
use mitogen::targets::fold;

use super::{End, HostId, Paint, Streams};
use crate::exit::{Outcome, exit_status};

/// How many hosts had each outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Outcome, usize>);

impl Counts {
    /// Counts outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let mut counts = BTreeMap::new();
        for outcome in outcomes {
            *counts.entry(outcome).or_insert(0) += 1;
        }
        Self(counts)
    }

    /// The outcomes that occurred, mildest first, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, usize)> + '_ {
        self.0.iter().map(|(outcome, count)| (*outcome, *count))
    }

    /// The exit status of the run.
    pub fn exit_status(&self) -> u8 {
        exit_status(self.0.keys().copied())
    }
}

/// Keeps how it ended everywhere, and tells of failures at the end: nothing if there are none.
#[derive(Clone, Debug)]
pub struct Summary {
    hosts: Arc<[String]>,
    ends: BTreeMap<HostId, End>,
    paint: Paint,
    detailed: bool,
}

impl Summary {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, paint: Paint) -> Self {
        Self { hosts, ends: BTreeMap::new(), paint, detailed: false }
    }

    /// Tells all that is known of a failed connection, too: the command, how it ended, what it printed.
    #[must_use]
    pub fn detailed(mut self, detailed: bool) -> Self {
        self.detailed = detailed;
        self
    }

    /// Notes an end.
    pub fn ended(&mut self, host: HostId, end: &End) {
        // The value was printed; only that there was one matters here.
        let end = if end.outcome() == Outcome::Ok { End::Exit(0) } else { end.clone() };
        self.ends.insert(host, end);
    }

    /// Hosts that have not ended yet, in their order.
    pub fn pending(&self) -> impl Iterator<Item = &str> {
        (0..self.hosts.len()).filter(|i| !self.ends.contains_key(&HostId(*i))).map(|i| self.hosts[i].as_str())
    }

    /// How many have ended with each outcome.
    pub fn counts(&self) -> Counts {
        Counts::of(self.ends.values().map(End::outcome))
    }

    /// The exit status of the run; hosts that have not ended were interrupted.
    pub fn exit_status(&self) -> u8 {
        let pending = self.pending().map(|_| Outcome::Interrupted);
        exit_status(self.ends.values().map(End::outcome).chain(pending))
    }

    /// Tells of all that did not go well: one line of numbers, then every failure under the node set
    /// of its hosts.
    ///
    /// # Errors
    /// Of the stream.
    pub fn write(&self, to: &mut Streams<'_>) -> io::Result<()> {
        let pending = (0..self.hosts.len()).map(HostId).filter(|host| !self.ends.contains_key(host));
        let mut ends: Vec<(HostId, End)> = self.ends.iter().map(|(host, end)| (*host, end.clone())).collect();
        ends.extend(pending.map(|host| (host, End::Interrupted)));
        let counts = Counts::of(ends.iter().map(|(_, end)| end.outcome()));
        if counts.exit_status() == 0 {
            return Ok(());
        }
        let numbers: Vec<String> =
            counts.iter().map(|(outcome, count)| format!("{count} {}", outcome.word())).collect();
        let mut text = self.paint.bad(&format!("mitogen: {}", numbers.join(", ")));
        text.push('\n');
        let mut failures: BTreeMap<(Outcome, String, Option<String>), Vec<HostId>> = BTreeMap::new();
        for (host, end) in ends.iter().filter(|(_, end)| end.outcome() != Outcome::Ok) {
            let key = (end.outcome(), end.describe(), end.hint().map(str::to_owned));
            failures.entry(key).or_default().push(*host);
        }
        for ((_, what, hint), mut hosts) in failures {
            hosts.sort_unstable();
            let names = fold(hosts.iter().map(|host| &self.hosts[host.0]));
            let number = if hosts.len() > 1 { format!(" ({})", hosts.len()) } else { String::new() };
            text.push_str(&format!("  {names}{number}: {what}\n"));
            let errors: Vec<&ConnectError> = hosts
                .iter()
                .filter_map(|host| match self.ends.get(host) {
                    Some(End::Failed(error)) => Some(&**error),
                    _ => None,
                })
                .collect();
            let Some(first) = errors.first() else { continue };
            if self.detailed {
                // One speaks for all: they failed alike.
                for line in first.report().lines() {
                    text.push_str(&format!("    {line}\n"));
                }
                continue;
            }
            // Many hosts failing on one hop: that hop is where to look.
            if errors.len() > 1 && errors.iter().all(|error| error.hop == first.hop) {
                text.push_str(&format!("    all on {}\n", first.hop));
            }
            if let Some(hint) = hint {
                text.push_str(&format!("    {hint}\n"));
            }
        }
        to.err.write_all(text.as_bytes())?;
        to.err.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hosts, refused, unreachable};
    use super::*;

    fn written(summary: &Summary) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        summary.write(&mut Streams { out: &mut out, err: &mut err }).unwrap();
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn failures_are_told_and_folded() {
        let names = ["web1", "web2", "web3", "web4", "db1", "db2", "db3"];
        let mut summary = Summary::new(hosts(&names), Paint(false));
        let ends = [
            (3, End::Exit(1)),
            (1, End::Exit(1)),
            (0, End::Exit(0)),
            (2, End::Exit(2)),
            (4, refused("no key fits")),
            (5, unreachable("nobody listens")),
        ];
        for (host, end) in &ends {
            summary.ended(HostId(*host), end);
        }
        assert_eq!(summary.pending().collect::<Vec<_>>(), ["db3"]);
        let expected = "\
mitogen: 1 ok, 3 failed, 1 unreachable, 1 refused, 1 interrupted
  web[2,4] (2): exit status 1
  web3: exit status 2
  db2: unreachable: connect: nobody listens
  db1: refused: authenticate: no key fits
    check the key
  db3: interrupted
";
        assert_eq!(written(&summary), expected);
        assert_eq!(summary.exit_status(), 130);
        assert_eq!(summary.counts().exit_status(), 5);
    }

    #[test]
    fn alike_failures_name_their_hop_and_details_on_demand() {
        let mut summary = Summary::new(hosts(&["web1", "web2"]), Paint(false));
        summary.ended(HostId(0), &refused("no key fits"));
        summary.ended(HostId(1), &refused("no key fits"));
        let head = "mitogen: 2 refused\n  web[1-2] (2): refused: authenticate: no key fits\n";
        assert_eq!(written(&summary), format!("{head}    all on ssh.x\n    check the key\n"));
        let End::Failed(mut error) = refused("no key fits") else { panic!() };
        error.output = vec!["denied".into()];
        let report = error.report().replace('\n', "\n    ");
        summary.ended(HostId(0), &End::Failed(error));
        assert_eq!(written(&summary.detailed(true)), format!("{head}    {report}\n"));
    }

    #[test]
    fn success_is_silent() {
        let mut summary = Summary::new(hosts(&["a", "b"]), Paint(true));
        summary.ended(HostId(0), &End::Exit(0));
        summary.ended(HostId(1), &End::Value(serde_json::Value::Null));
        assert_eq!((written(&summary).as_str(), summary.exit_status()), ("", 0));
    }
}
