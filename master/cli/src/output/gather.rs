//! Printing each output whole, and equal ones once.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mitogen::targets::fold;

use super::{Channel, End, Event, HostId, Paint, Report, Streams, ending_text};

/// What a host printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Printed {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Hosts with equal output and equal end.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) printed: Printed,
    pub(super) end: End,
    /// In their order.
    pub(super) hosts: Vec<HostId>,
}

/// Outputs on their way to being groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    open: BTreeMap<HostId, Printed>,
    groups: Vec<Group>,
    /// The groups by what they printed, for hosts that have ended.
    known: HashMap<Printed, Vec<usize>>,
}

impl Collected {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started(host) => {
                self.open.entry(*host).or_default();
            }
            Event::Moved(..) => {}
            Event::Output(host, channel, data) => self.append(*host, *channel, data),
            Event::Ended(host, end) => {
                if let Some((channel, text)) = ending_text(end) {
                    self.append(*host, channel, &text);
                }
                self.close(*host, end);
            }
        }
    }

    fn append(&mut self, host: HostId, channel: Channel, data: &[u8]) {
        let printed = self.open.entry(host).or_default();
        match channel {
            Channel::Stdout => printed.stdout.extend_from_slice(data),
            Channel::Stderr => printed.stderr.extend_from_slice(data),
        }
    }

    /// Equal outputs are kept once: a thousand hosts that agree take the room of one.
    fn close(&mut self, host: HostId, end: &End) {
        let printed = self.open.remove(&host).unwrap_or_default();
        let known = self.known.entry(printed).or_insert_with_key(|_| Vec::new());
        if let Some(group) = known.iter().find(|group| self.groups[**group].end == *end) {
            self.groups[*group].hosts.push(host);
            return;
        }
        known.push(self.groups.len());
        self.groups.push(Group { printed: Printed::default(), end: end.clone(), hosts: vec![host] });
    }

    /// The groups of hosts that have ended; what others have printed so far stays where it is.
    fn take_ended(&mut self) -> Vec<Group> {
        let others = std::mem::take(&mut self.open);
        let groups = self.take();
        self.open = others;
        groups
    }

    /// The groups, largest first, then by their first hosts. Hosts that have not ended are
    /// interrupted. Empties the collection.
    pub(super) fn take(&mut self) -> Vec<Group> {
        let open: Vec<HostId> = self.open.keys().copied().collect();
        for host in open {
            self.close(host, &End::Interrupted);
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

/// The names of a group's hosts, folded, with their number if there are several and with how it
/// ended if not well.
pub(super) fn title(hosts: &[String], group: &Group) -> String {
    let mut title = fold(group.hosts.iter().map(|host| &hosts[host.0]));
    if group.hosts.len() > 1 {
        title.push_str(&format!(" ({})", group.hosts.len()));
    }
    // The whole of a failure is in the summary.
    match &group.end {
        End::Failed(_) | End::Internal(_) | End::Raised(_) => {
            title.push_str(&format!(" [{}]", group.end.outcome().word()));
        }
        end if !end.describe().is_empty() => title.push_str(&format!(" [{}]", end.describe())),
        _ => {}
    }
    title
}

const RULE: &str = "---------------";

/// Writes what a group printed under its title, both outputs to their own streams; nothing where
/// nothing was printed.
pub(super) fn write_section(
    to: &mut Streams<'_>,
    title: &str,
    printed: &Printed,
    paint: Paint,
) -> io::Result<()> {
    for (channel, data) in [(Channel::Stdout, &printed.stdout), (Channel::Stderr, &printed.stderr)] {
        if data.is_empty() {
            continue;
        }
        let mut text = paint.host(&format!("{RULE}\n{title}\n{RULE}")).into_bytes();
        text.push(b'\n');
        text.extend_from_slice(data);
        if !data.ends_with(b"\n") {
            text.push(b'\n');
        }
        let stream = to.channel(channel);
        stream.write_all(&text)?;
        stream.flush()?;
    }
    Ok(())
}

/// Prints each output whole. Folded, equal ones stand once under the node set of their hosts, at the
/// end, the largest set first; otherwise each stands under its host as soon as that has ended.
#[derive(Clone, Debug)]
pub struct Gather {
    hosts: Arc<[String]>,
    paint: Paint,
    folded: bool,
    collected: Collected,
}

impl Gather {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, paint: Paint, folded: bool) -> Self {
        Self { hosts, paint, folded, collected: Collected::default() }
    }

    fn print(&self, to: &mut Streams<'_>, group: &Group) -> io::Result<()> {
        write_section(to, &title(&self.hosts, group), &group.printed, self.paint)
    }
}

impl Report for Gather {
    fn event(&mut self, to: &mut Streams<'_>, _: Duration, event: &Event<'_>) -> io::Result<()> {
        self.collected.event(event);
        if let (Event::Ended(host, end), false) = (event, self.folded) {
            let groups = self.collected.take_ended();
            debug_assert!(groups.iter().all(|group| group.hosts == [*host] && group.end == **end));
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
            let Group { printed, end, hosts } = group;
            hosts.into_iter().map(move |host| Group {
                printed: printed.clone(),
                end: end.clone(),
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
            Step::End(3, End::Exit(0)),
            Step::Out(1, b"1\n"),
            Step::End(1, End::Exit(0)),
            Step::Out(2, b"6.1\n"),
            Step::End(2, End::Exit(1)),
            Step::End(4, refused("no key fits")),
            Step::Err(0, b""),
            Step::End(0, End::Exit(0)),
        ]
    }

    #[test]
    fn equal_outputs_stand_once() {
        let (out, err) = run(&mut Gather::new(hosts(NAMES), Paint(false), true), &steps());
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
    fn what_goes_to_standard_error_counts_and_stays_there() {
        let steps = [
            Step::Out(0, b"x\n"),
            Step::Err(0, b"warn"),
            Step::End(0, End::Exit(0)),
            Step::Out(1, b"x\n"),
            Step::End(1, End::Exit(0)),
            Step::Err(2, b"T\n"),
            Step::End(2, End::Raised("E: y".into())),
        ];
        let (out, err) = run(&mut Gather::new(hosts(NAMES), Paint(false), true), &steps);
        let rule = "---------------\n";
        assert_eq!(out, format!("{rule}web01\n{rule}x\n{rule}web02\n{rule}x\n"));
        assert_eq!(err, format!("{rule}web01\n{rule}warn\n{rule}web03 [failed]\n{rule}T\nE: y\n"));
    }

    #[test]
    fn unfolded_outputs_come_as_hosts_end() {
        let (out, _) = run(&mut Gather::new(hosts(NAMES), Paint(false), false), &steps());
        let titles: Vec<&str> = out.lines().filter(|line| line.starts_with("web")).collect();
        assert_eq!(titles, ["web04", "web02", "web03 [exit status 1]", "web01"]);
        assert_eq!(out.matches("6.1\n").count(), 3);
    }

    #[test]
    fn an_interrupt_loses_nothing() {
        let steps =
            [Step::Out(1, b"partial"), Step::Out(0, b"done\n"), Step::End(0, End::Exit(0)), Step::Start(2)];
        let rule = "---------------\n";
        for folded in [true, false] {
            let (out, _) = run(&mut Gather::new(hosts(NAMES), Paint(false), folded), &steps);
            let expected = format!("{rule}web01\n{rule}done\n{rule}web02 [interrupted]\n{rule}partial\n");
            assert_eq!(out, expected);
        }
    }
}
