//! Printing each output as a whole, and identical ones once.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mitogen::targets::fold;

use super::event::{HostEvent, HostId, HostResult, Printer, StdStream, Streams, result_text};
use super::visible::visible;
use crate::color::Palette;

/// The output of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Printed {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Hosts with identical output and result.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) printed: Printed,
    pub(super) result: HostResult,
    /// In the order of the targets.
    pub(super) hosts: Vec<HostId>,
}

/// Outputs that are being collected into groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    open: BTreeMap<HostId, Printed>,
    groups: Vec<Group>,
    /// The groups of hosts that have ended, by their output. It is moved into the groups at the end.
    known: HashMap<Printed, Vec<usize>>,
}

impl Collected {
    pub(super) fn event(&mut self, event: &HostEvent<'_>) {
        match event {
            HostEvent::Started(host) => {
                self.open.entry(*host).or_default();
            }
            HostEvent::Progress(..) => {}
            HostEvent::Output(host, stream, data) => self.append(*host, *stream, data),
            HostEvent::Ended(host, result) => {
                if let Some((stream, text)) = result_text(result) {
                    self.append(*host, stream, &text);
                }
                self.close(*host, result);
            }
        }
    }

    fn append(&mut self, host: HostId, stream: StdStream, data: &[u8]) {
        let printed = self.open.entry(host).or_default();
        match stream {
            StdStream::Stdout => printed.stdout.extend_from_slice(data),
            StdStream::Stderr => printed.stderr.extend_from_slice(data),
        }
    }

    /// Adds an ended host to its group. Identical outputs are kept once, so a thousand hosts that agree
    /// use the memory of one.
    fn close(&mut self, host: HostId, result: &HostResult) {
        let printed = self.open.remove(&host).unwrap_or_default();
        let known = self.known.entry(printed).or_insert_with_key(|_| Vec::new());
        if let Some(group) = known.iter().find(|group| self.groups[**group].result == *result) {
            self.groups[*group].hosts.push(host);
            return;
        }
        known.push(self.groups.len());
        self.groups.push(Group { printed: Printed::default(), result: result.clone(), hosts: vec![host] });
    }

    /// Takes the groups of the hosts that have ended. The output of the others is kept.
    fn take_ended(&mut self) -> Vec<Group> {
        let others = std::mem::take(&mut self.open);
        let groups = self.take();
        self.open = others;
        groups
    }

    /// Takes all groups, largest first, then by their first hosts. Hosts that have not ended count as
    /// interrupted.
    pub(super) fn take(&mut self) -> Vec<Group> {
        let open: Vec<HostId> = self.open.keys().copied().collect();
        for host in open {
            self.close(host, &HostResult::Interrupted);
        }
        let mut groups = std::mem::take(&mut self.groups);
        for (printed, of) in self.known.drain() {
            if let [only] = of.as_slice() {
                groups[*only].printed = printed;
            } else {
                of.iter().for_each(|group| groups[*group].printed = printed.clone());
            }
        }
        for group in &mut groups {
            group.hosts.sort_unstable();
        }
        groups.sort_by(|a, b| b.hosts.len().cmp(&a.hosts.len()).then_with(|| a.hosts.cmp(&b.hosts)));
        groups
    }
}

/// The folded names of a group's hosts, their number if there are several, and the result unless it is
/// a success.
pub(super) fn title(hosts: &[String], group: &Group) -> String {
    let mut title = fold(group.hosts.iter().map(|host| &hosts[host.0]));
    if group.hosts.len() > 1 {
        title.push_str(&format!(" ({})", group.hosts.len()));
    }
    match &group.result {
        // The summary has the full message.
        HostResult::Failed(_) | HostResult::Internal(_) | HostResult::Raised(_) => {
            title.push_str(&format!(" [{}]", group.result.outcome().word()));
        }
        result if !result.describe().is_empty() => {
            title.push_str(&format!(" [{}]", visible(&result.describe())));
        }
        _ => {}
    }
    title
}

const RULE: &str = "---------------";

/// Writes a group's output under its title, each stream to the stream of its own. An empty output is
/// left out.
pub(super) fn write_section(
    to: &mut Streams<'_>,
    title: &str,
    printed: &Printed,
    palette: Palette,
) -> io::Result<()> {
    for (stream, data) in [(StdStream::Stdout, &printed.stdout), (StdStream::Stderr, &printed.stderr)] {
        if data.is_empty() {
            continue;
        }
        let mut text = palette.host(&format!("{RULE}\n{title}\n{RULE}")).into_bytes();
        text.push(b'\n');
        text.extend_from_slice(data);
        if !data.ends_with(b"\n") {
            text.push(b'\n');
        }
        let to = to.of(stream);
        to.write_all(&text)?;
        to.flush()?;
    }
    Ok(())
}

/// Prints each output as a whole. Folded, identical outputs are printed once at the end, under the node
/// set of their hosts, the largest set first. Otherwise each output is printed when its host ends.
#[derive(Clone, Debug)]
pub struct Gather {
    hosts: Arc<[String]>,
    palette: Palette,
    folded: bool,
    collected: Collected,
}

impl Gather {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, palette: Palette, folded: bool) -> Self {
        Self { hosts, palette, folded, collected: Collected::default() }
    }

    fn print(&self, to: &mut Streams<'_>, group: &Group) -> io::Result<()> {
        write_section(to, &title(&self.hosts, group), &group.printed, self.palette)
    }
}

impl Printer for Gather {
    fn event(&mut self, to: &mut Streams<'_>, _: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        self.collected.event(event);
        if let (HostEvent::Ended(host, result), false) = (event, self.folded) {
            let groups = self.collected.take_ended();
            debug_assert!(groups.iter().all(|group| group.hosts == [*host] && group.result == **result));
            groups.iter().try_for_each(|group| self.print(to, group))?;
        }
        Ok(())
    }

    fn so_far(&mut self, to: &mut Streams<'_>) -> io::Result<()> {
        let groups = self.collected.take_ended();
        groups.iter().try_for_each(|group| self.print(to, group))
    }

    fn finish(&mut self, to: &mut Streams<'_>, _: Duration) -> io::Result<()> {
        let groups = self.collected.take();
        if self.folded {
            return groups.iter().try_for_each(|group| self.print(to, group));
        }
        let each = |group: Group| {
            let Group { printed, result, hosts } = group;
            hosts.into_iter().map(move |host| Group {
                printed: printed.clone(),
                result: result.clone(),
                hosts: vec![host],
            })
        };
        let mut single: Vec<Group> = groups.into_iter().flat_map(each).collect();
        single.sort_by(|a, b| a.hosts.cmp(&b.hosts));
        single.iter().try_for_each(|group| self.print(to, group))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Step, hosts, refused, run};
    use super::*;

    const NAMES: &[&str] = &["web01", "web02", "web03", "web04", "db1"];

    fn steps() -> Vec<Step> {
        vec![
            Step::Out(3, b"5.10\n"),
            Step::Out(1, b"6."),
            Step::Out(0, b"6.1\n"),
            Step::End(3, HostResult::Exit(0)),
            Step::Out(1, b"1\n"),
            Step::End(1, HostResult::Exit(0)),
            Step::Out(2, b"6.1\n"),
            Step::End(2, HostResult::Exit(1)),
            Step::End(4, refused("no key fits")),
            Step::Err(0, b""),
            Step::End(0, HostResult::Exit(0)),
        ]
    }

    #[test]
    fn identical_outputs_are_printed_once() {
        let (out, err) = run(&mut Gather::new(hosts(NAMES), Palette(false), true), &steps());
        let expected = "\
---------------
web[01-02] (2)
---------------
6.1
---------------
web03 [exit status 1]
---------------
6.1
---------------
web04
---------------
5.10
";
        assert_eq!((out.as_str(), err.as_str()), (expected, ""));
    }

    #[test]
    fn standard_error_is_compared_and_kept_separate() {
        let steps = [
            Step::Out(0, b"x\n"),
            Step::Err(0, b"warn"),
            Step::End(0, HostResult::Exit(0)),
            Step::Out(1, b"x\n"),
            Step::End(1, HostResult::Exit(0)),
            Step::Err(2, b"T\n"),
            Step::End(2, HostResult::Raised("E: y".into())),
        ];
        let (out, err) = run(&mut Gather::new(hosts(NAMES), Palette(false), true), &steps);
        let rule = "---------------\n";
        assert_eq!(out, format!("{rule}web01\n{rule}x\n{rule}web02\n{rule}x\n"));
        assert_eq!(err, format!("{rule}web01\n{rule}warn\n{rule}web03 [failed]\n{rule}T\nE: y\n"));
    }

    #[test]
    fn unfolded_outputs_are_printed_when_their_hosts_end() {
        let (out, _) = run(&mut Gather::new(hosts(NAMES), Palette(false), false), &steps());
        let titles: Vec<&str> = out.lines().filter(|line| line.starts_with("web")).collect();
        assert_eq!(titles, ["web04", "web02", "web03 [exit status 1]", "web01"]);
        assert_eq!(out.matches("6.1\n").count(), 3);
    }

    #[test]
    fn an_interrupt_loses_no_output() {
        let steps = [
            Step::Out(1, b"partial"),
            Step::Out(0, b"done\n"),
            Step::End(0, HostResult::Exit(0)),
            Step::Start(2),
        ];
        let rule = "---------------\n";
        for folded in [true, false] {
            let (out, _) = run(&mut Gather::new(hosts(NAMES), Palette(false), folded), &steps);
            let expected = format!("{rule}web01\n{rule}done\n{rule}web02 [interrupted]\n{rule}partial\n");
            assert_eq!(out, expected);
        }
    }
}
