//! Printing how outputs differ from the one that most agree on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

use super::gather::{Collected, Group, title, write_section};
use super::{Channel, Event, Paint, Report, Streams};

/// Lines around a difference that are shown, too.
const CONTEXT: usize = 3;

/// Prints one output whole, the reference, and how each other differs from it. The reference is the
/// output of the lowest exit status, of these the one of the most hosts.
#[derive(Clone, Debug)]
pub struct Diff {
    hosts: Arc<[String]>,
    paint: Paint,
    collected: Collected,
}

impl Diff {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, paint: Paint) -> Self {
        Self { hosts, paint, collected: Collected::default() }
    }
}

impl Report for Diff {
    fn event(&mut self, _: &mut Streams<'_>, _: Duration, event: &Event<'_>) -> io::Result<()> {
        self.collected.event(event);
        Ok(())
    }

    fn finish(&mut self, to: &mut Streams<'_>, _: Duration) -> io::Result<()> {
        // Hosts where no command ran have nothing to compare; the summary tells of them. The groups
        // come with the largest first, and the first of equal ranks is taken.
        let groups = self.collected.take();
        let mut compared: Vec<&Group> = groups.iter().filter(|group| group.end.rank().is_some()).collect();
        let Some(at) = (0..compared.len()).min_by_key(|i| compared[*i].end.rank()) else { return Ok(()) };
        let reference = compared.remove(at);
        let name = title(&self.hosts, reference);
        write_section(to, &name, &reference.printed, self.paint)?;
        for group in compared {
            let other = title(&self.hosts, group);
            let pairs = [
                (Channel::Stdout, &reference.printed.stdout, &group.printed.stdout),
                (Channel::Stderr, &reference.printed.stderr, &group.printed.stderr),
            ];
            let same = pairs.iter().all(|(_, old, new)| old == new);
            for (channel, old, new) in pairs {
                // Equal outputs and different ends: the names with their ends are the difference.
                if old == new && !(same && channel == Channel::Stdout) {
                    continue;
                }
                let text = unified(&name, &other, old, new, self.paint);
                let stream = to.channel(channel);
                stream.write_all(&text)?;
                stream.flush()?;
            }
        }
        Ok(())
    }
}

/// A unified diff; bytes of the lines untouched.
fn unified(old_name: &str, new_name: &str, old: &[u8], new: &[u8], paint: Paint) -> Vec<u8> {
    let lines = |text| <[u8]>::split_inclusive(text, |byte| *byte == b'\n').collect::<Vec<_>>();
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (lines(old), lines(new));
    let mut text = paint.removed(&format!("--- {old_name}")).into_bytes();
    text.push(b'\n');
    text.extend_from_slice(paint.added(&format!("+++ {new_name}")).as_bytes());
    text.push(b'\n');
    for hunk in group_diff_ops(capture_diff_slices(Algorithm::Myers, &old, &new), CONTEXT) {
        // The library gives no hunk that is empty.
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let span = |start: usize, end: usize| match end - start {
            // As in diff(1): an empty range is named by the line before it.
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            count => format!("{},{count}", start + 1),
        };
        let olds = span(first.old_range().start, last.old_range().end);
        let news = span(first.new_range().start, last.new_range().end);
        text.extend_from_slice(paint.host(&format!("@@ -{olds} +{news} @@")).as_bytes());
        text.push(b'\n');
        hunk.iter().for_each(|op| write_op(&mut text, op, &old, &new, paint));
    }
    text
}

fn write_op(text: &mut Vec<u8>, op: &DiffOp, old: &[&[u8]], new: &[&[u8]], paint: Paint) {
    let plain = |sign: &str| sign.to_owned();
    let (tag, olds, news) = op.as_tag_tuple();
    if tag == DiffTag::Equal {
        old[olds].iter().for_each(|line| write_line(text, line, " ", plain));
        return;
    }
    // Only the sign is coloured: the line may have colours of its own.
    old[olds].iter().for_each(|line| write_line(text, line, "-", |sign| paint.removed(sign)));
    new[news].iter().for_each(|line| write_line(text, line, "+", |sign| paint.added(sign)));
}

fn write_line(text: &mut Vec<u8>, line: &[u8], sign: &str, paint: impl Fn(&str) -> String) {
    text.extend_from_slice(paint(sign).as_bytes());
    text.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        text.extend_from_slice(b"\n\\ no newline at the end\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::End;
    use super::super::testing::{Step, hosts, refused, run};
    use super::*;

    const NAMES: &[&str] = &["web01", "web02", "web03", "web04"];

    #[test]
    fn outputs_are_compared_with_the_one_of_most_hosts() {
        let steps = [
            Step::Out(0, b"a\nb\nc\nd\ne\nf\ng\nh\ni\n"),
            Step::End(0, End::Exit(0)),
            Step::Out(1, b"a\nB\nc\nd\ne\nf\ng\nh\ni\nlast"),
            Step::End(1, End::Exit(0)),
            Step::Out(2, b"a\nb\nc\nd\ne\nf\ng\nh\ni\n"),
            Step::End(2, End::Exit(0)),
            Step::Out(3, b"failed\n"),
            Step::End(3, refused("no")),
        ];
        let (out, err) = run(&mut Diff::new(hosts(NAMES), Paint(false)), &steps);
        let expected = "\
---------------
web[01,03] (2)
---------------
a
b
c
d
e
f
g
h
i
--- web[01,03] (2)
+++ web02
@@ -1,5 +1,5 @@
 a
-b
+B
 c
 d
 e
@@ -7,3 +7,4 @@
 g
 h
 i
+last
\\ no newline at the end
";
        assert_eq!((out.as_str(), err.as_str()), (expected, ""));
    }

    #[test]
    fn the_lowest_status_is_the_reference() {
        let steps = [
            Step::Out(0, b"x\n"),
            Step::Err(0, b"w\n"),
            Step::End(0, End::Exit(1)),
            Step::Out(1, b"x\n"),
            Step::Err(1, b"w\n"),
            Step::End(1, End::Exit(1)),
            Step::Out(2, b"x\n"),
            Step::End(2, End::Exit(0)),
            Step::Out(3, b"x\n"),
            Step::End(3, End::Signal(9)),
        ];
        let (out, err) = run(&mut Diff::new(hosts(NAMES), Paint(false)), &steps);
        let rule = "---------------\n";
        assert_eq!(out, format!("{rule}web03\n{rule}x\n--- web03\n+++ web04 [killed by SIGKILL]\n"));
        assert_eq!(err, "--- web03\n+++ web[01-02] (2) [exit status 1]\n@@ -0,0 +1 @@\n+w\n");
    }

    #[test]
    fn nothing_to_compare_prints_nothing() {
        let steps = [Step::End(0, refused("no")), Step::Start(1)];
        assert_eq!(run(&mut Diff::new(hosts(NAMES), Paint(false)), &steps), (String::new(), String::new()));
    }

    #[test]
    fn signs_are_coloured() {
        let text = unified("a", "b", b"1\n", b"2\n", Paint(true));
        let expected = "\x1b[31m--- a\x1b[0m\n\x1b[32m+++ b\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n\
                        \x1b[31m-\x1b[0m1\n\x1b[32m+\x1b[0m2\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
