//! The results of all hosts, and the summary of failures at the end of a run.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mitogen::ConnectError;
use mitogen::targets::fold;

use super::event::{HostId, HostResult, Streams};
use super::visible::visible;
use crate::color::Palette;
use crate::exit::{HostOutcome, exit_status};

/// The number of hosts with each outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<HostOutcome, usize>);

impl Counts {
    /// Counts outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = HostOutcome>) -> Self {
        let mut counts = BTreeMap::new();
        for outcome in outcomes {
            *counts.entry(outcome).or_insert(0) += 1;
        }
        Self(counts)
    }

    /// The outcomes that occurred, least severe first, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (HostOutcome, usize)> + '_ {
        self.0.iter().map(|(outcome, count)| (*outcome, *count))
    }

    /// The exit status of the run.
    pub fn exit_status(&self) -> u8 {
        exit_status(self.0.keys().copied())
    }
}

/// The results so far. Prints nothing if all hosts succeed.
#[derive(Clone, Debug)]
pub struct Summary {
    hosts: Arc<[String]>,
    results: BTreeMap<HostId, HostResult>,
    palette: Palette,
    detailed: bool,
}

impl Summary {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, palette: Palette) -> Self {
        Self { hosts, results: BTreeMap::new(), palette, detailed: false }
    }

    /// Whether failed connections are printed with the command line, its exit status and its output.
    #[must_use]
    pub fn detailed(mut self, detailed: bool) -> Self {
        self.detailed = detailed;
        self
    }

    /// Notes a host's result.
    pub fn ended(&mut self, host: HostId, result: &HostResult) {
        // Values can be large and have been printed; the summary needs only the success.
        let result = if result.outcome() == HostOutcome::Ok { HostResult::Exit(0) } else { result.clone() };
        self.results.insert(host, result);
    }

    /// The hosts that have not ended, in order.
    pub fn pending(&self) -> impl Iterator<Item = &str> {
        (0..self.hosts.len())
            .filter(|i| !self.results.contains_key(&HostId(*i)))
            .map(|i| self.hosts[i].as_str())
    }

    /// The outcomes of the hosts that have ended.
    pub fn counts(&self) -> Counts {
        Counts::of(self.results.values().map(HostResult::outcome))
    }

    /// The exit status of the run. Hosts that have not ended count as interrupted.
    pub fn exit_status(&self) -> u8 {
        let pending = self.pending().map(|_| HostOutcome::Interrupted);
        exit_status(self.results.values().map(HostResult::outcome).chain(pending))
    }

    /// Prints the number of hosts with each outcome, and then every failure with its hosts.
    ///
    /// # Errors
    /// Errors of the stream.
    pub fn write(&self, to: &mut Streams<'_>) -> io::Result<()> {
        let pending = (0..self.hosts.len()).map(HostId).filter(|host| !self.results.contains_key(host));
        let mut results: Vec<(HostId, HostResult)> =
            self.results.iter().map(|(host, result)| (*host, result.clone())).collect();
        results.extend(pending.map(|host| (host, HostResult::Interrupted)));
        let counts = Counts::of(results.iter().map(|(_, result)| result.outcome()));
        if counts.exit_status() == 0 {
            return Ok(());
        }
        let numbers: Vec<String> =
            counts.iter().map(|(outcome, count)| format!("{count} {}", outcome.word())).collect();
        let mut text = self.palette.bad(&format!("mitogen: {}", numbers.join(", ")));
        text.push('\n');
        let mut failures: BTreeMap<(HostOutcome, String, Option<String>), Vec<HostId>> = BTreeMap::new();
        for (host, result) in results.iter().filter(|(_, result)| result.outcome() != HostOutcome::Ok) {
            let hint = result.hint().map(|hint| visible(hint).into_owned());
            let key = (result.outcome(), visible(&result.describe()).into_owned(), hint);
            failures.entry(key).or_default().push(*host);
        }
        for ((_, what, hint), mut hosts) in failures {
            hosts.sort_unstable();
            let names = fold(hosts.iter().map(|host| &self.hosts[host.0]));
            let number = if hosts.len() > 1 { format!(" ({})", hosts.len()) } else { String::new() };
            text.push_str(&format!("  {names}{number}: {what}\n"));
            let errors: Vec<&ConnectError> = hosts
                .iter()
                .filter_map(|host| match self.results.get(host) {
                    Some(HostResult::Failed(error)) => Some(&**error),
                    _ => None,
                })
                .collect();
            let Some(first) = errors.first() else { continue };
            if self.detailed {
                // The hosts of one group failed alike, so one report is enough.
                for line in first.report().lines() {
                    text.push_str(&format!("    {}\n", visible(line)));
                }
                continue;
            }
            // Several hosts that fail at the same hop: the cause is there.
            if errors.len() > 1 && errors.iter().all(|error| error.hop == first.hop) {
                text.push_str(&format!("    all at hop {}\n", visible(&first.hop)));
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
    fn failures_are_listed_and_folded() {
        let names = ["web1", "web2", "web3", "web4", "db1", "db2", "db3"];
        let mut summary = Summary::new(hosts(&names), Palette(false));
        let results = [
            (3, HostResult::Exit(1)),
            (1, HostResult::Exit(1)),
            (0, HostResult::Exit(0)),
            (2, HostResult::Exit(2)),
            (4, refused("no key fits")),
            (5, unreachable("connection refused")),
        ];
        for (host, result) in &results {
            summary.ended(HostId(*host), result);
        }
        assert_eq!(summary.pending().collect::<Vec<_>>(), ["db3"]);
        let expected = "\
mitogen: 1 ok, 3 failed, 1 unreachable, 1 refused, 1 interrupted
  web[2,4] (2): exit status 1
  web3: exit status 2
  db2: unreachable: connect: connection refused
  db1: refused: authenticate: no key fits
    check the key
  db3: interrupted
";
        assert_eq!(written(&summary), expected);
        assert_eq!(summary.exit_status(), 130);
        assert_eq!(summary.counts().exit_status(), 5);
    }

    #[test]
    fn equal_failures_name_their_hop_and_show_details_on_request() {
        let mut summary = Summary::new(hosts(&["web1", "web2"]), Palette(false));
        summary.ended(HostId(0), &refused("no key fits"));
        summary.ended(HostId(1), &refused("no key fits"));
        let head = "mitogen: 2 refused\n  web[1-2] (2): refused: authenticate: no key fits\n";
        assert_eq!(written(&summary), format!("{head}    all at hop ssh.x\n    check the key\n"));
        let HostResult::Failed(mut error) = refused("no key fits") else { panic!() };
        error.output = vec!["denied".into()];
        let report = error.report().replace('\n', "\n    ");
        summary.ended(HostId(0), &HostResult::Failed(error));
        assert_eq!(written(&summary.detailed(true)), format!("{head}    {report}\n"));
    }

    #[test]
    fn text_of_other_machines_cannot_forge_lines_or_control_the_terminal() {
        let mut summary = Summary::new(hosts(&["a", "b", "c", "d"]), Palette(false));
        let hostile = "x\r\nmitogen: 4 ok\x1b]0;title\x07";
        summary.ended(HostId(0), &HostResult::Lost(hostile.into()));
        summary.ended(HostId(1), &HostResult::NotCopied(hostile.into()));
        summary.ended(HostId(2), &HostResult::Raised(format!("Traceback\nE: {hostile}")));
        summary.ended(HostId(3), &HostResult::NotStarted(hostile.into()));
        let text = written(&summary.detailed(true));
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }

    #[test]
    fn success_prints_nothing() {
        let mut summary = Summary::new(hosts(&["a", "b"]), Palette(true));
        summary.ended(HostId(0), &HostResult::Exit(0));
        summary.ended(HostId(1), &HostResult::Value(serde_json::Value::Null));
        assert_eq!((written(&summary).as_str(), summary.exit_status()), ("", 0));
    }
}
