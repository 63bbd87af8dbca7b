//! Printing how outputs differ from the most common one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

use super::event::{HostEvent, Printer, StdStream, Streams};
use super::gather::{Collected, Group, title, write_section};
use crate::color::Palette;

/// The number of unchanged lines shown around a difference.
const CONTEXT: usize = 3;

/// Prints a reference output as a whole, and how each of the others differs from it. The reference is the
/// output with the lowest exit status, and of these the one of the most hosts.
#[derive(Clone, Debug)]
pub struct Diff {
    hosts: Arc<[String]>,
    palette: Palette,
    collected: Collected,
}

impl Diff {
    /// For hosts of these names.
    pub fn new(hosts: Arc<[String]>, palette: Palette) -> Self {
        Self { hosts, palette, collected: Collected::default() }
    }
}

impl Printer for Diff {
    fn event(&mut self, _: &mut Streams<'_>, _: Duration, event: &HostEvent<'_>) -> io::Result<()> {
        self.collected.event(event);
        Ok(())
    }

    fn finish(&mut self, to: &mut Streams<'_>, _: Duration) -> io::Result<()> {
        // Hosts where no command ended have no output to compare; the summary lists them. The largest
        // groups come first, and `min_by_key` takes the first of equal ranks.
        let groups = self.collected.take();
        let mut compared: Vec<&Group> = groups.iter().filter(|group| group.result.rank().is_some()).collect();
        let Some(at) = (0..compared.len()).min_by_key(|i| compared[*i].result.rank()) else { return Ok(()) };
        let reference = compared.remove(at);
        let name = title(&self.hosts, reference);
        write_section(to, &name, &reference.printed, self.palette)?;
        for group in compared {
            let other = title(&self.hosts, group);
            let pairs = [
                (StdStream::Stdout, &reference.printed.stdout, &group.printed.stdout),
                (StdStream::Stderr, &reference.printed.stderr, &group.printed.stderr),
            ];
            let same = pairs.iter().all(|(_, old, new)| old == new);
            for (stream, old, new) in pairs {
                // If only the results differ, the header alone is printed: it shows them.
                if old == new && !(same && stream == StdStream::Stdout) {
                    continue;
                }
                let text = unified(&name, &other, old, new, self.palette);
                let to = to.of(stream);
                to.write_all(&text)?;
                to.flush()?;
            }
        }
        Ok(())
    }
}

/// A unified diff. The bytes of the lines are unchanged.
fn unified(old_name: &str, new_name: &str, old: &[u8], new: &[u8], palette: Palette) -> Vec<u8> {
    let lines = |text| <[u8]>::split_inclusive(text, |byte| *byte == b'\n').collect::<Vec<_>>();
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (lines(old), lines(new));
    let mut text = palette.removed(&format!("--- {old_name}")).into_bytes();
    text.push(b'\n');
    text.extend_from_slice(palette.added(&format!("+++ {new_name}")).as_bytes());
    text.push(b'\n');
    for hunk in group_diff_ops(capture_diff_slices(Algorithm::Myers, &old, &new), CONTEXT) {
        // `group_diff_ops` returns no empty hunks.
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let span = |start: usize, end: usize| match end - start {
            // As in diff(1), an empty range has the number of the line before it.
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            count => format!("{},{count}", start + 1),
        };
        let olds = span(first.old_range().start, last.old_range().end);
        let news = span(first.new_range().start, last.new_range().end);
        text.extend_from_slice(palette.host(&format!("@@ -{olds} +{news} @@")).as_bytes());
        text.push(b'\n');
        hunk.iter().for_each(|op| write_op(&mut text, op, &old, &new, palette));
    }
    text
}

fn write_op(text: &mut Vec<u8>, op: &DiffOp, old: &[&[u8]], new: &[&[u8]], palette: Palette) {
    let plain = |sign: &str| sign.to_owned();
    let (tag, olds, news) = op.as_tag_tuple();
    if tag == DiffTag::Equal {
        old[olds].iter().for_each(|line| write_line(text, line, " ", plain));
        return;
    }
    // Only the sign is coloured, because the line may contain colours itself.
    old[olds].iter().for_each(|line| write_line(text, line, "-", |sign| palette.removed(sign)));
    new[news].iter().for_each(|line| write_line(text, line, "+", |sign| palette.added(sign)));
}

fn write_line(text: &mut Vec<u8>, line: &[u8], sign: &str, palette: impl Fn(&str) -> String) {
    text.extend_from_slice(palette(sign).as_bytes());
    text.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        text.extend_from_slice(b"\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::HostResult;
    use super::super::testing::{Step, hosts, refused, run};
    use super::*;

    const NAMES: &[&str] = &["web01", "web02", "web03", "web04"];

    #[test]
    fn outputs_are_compared_with_the_most_common_one() {
        let steps = [
            Step::Out(0, b"a\nb\nc\nd\ne\nf\ng\nh\ni\n"),
            Step::End(0, HostResult::Exit(0)),
            Step::Out(1, b"a\nB\nc\nd\ne\nf\ng\nh\ni\nlast"),
            Step::End(1, HostResult::Exit(0)),
            Step::Out(2, b"a\nb\nc\nd\ne\nf\ng\nh\ni\n"),
            Step::End(2, HostResult::Exit(0)),
            Step::Out(3, b"failed\n"),
            Step::End(3, refused("no")),
        ];
        let (out, err) = run(&mut Diff::new(hosts(NAMES), Palette(false)), &steps);
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
\\ No newline at end of file
";
        assert_eq!((out.as_str(), err.as_str()), (expected, ""));
    }

    #[test]
    fn the_reference_has_the_lowest_status() {
        let steps = [
            Step::Out(0, b"x\n"),
            Step::Err(0, b"w\n"),
            Step::End(0, HostResult::Exit(1)),
            Step::Out(1, b"x\n"),
            Step::Err(1, b"w\n"),
            Step::End(1, HostResult::Exit(1)),
            Step::Out(2, b"x\n"),
            Step::End(2, HostResult::Exit(0)),
            Step::Out(3, b"x\n"),
            Step::End(3, HostResult::Signal(9)),
        ];
        let (out, err) = run(&mut Diff::new(hosts(NAMES), Palette(false)), &steps);
        let rule = "---------------\n";
        assert_eq!(out, format!("{rule}web03\n{rule}x\n--- web03\n+++ web04 [killed by SIGKILL]\n"));
        assert_eq!(err, "--- web03\n+++ web[01-02] (2) [exit status 1]\n@@ -0,0 +1 @@\n+w\n");
    }

    #[test]
    fn without_outputs_to_compare_nothing_is_printed() {
        let steps = [Step::End(0, refused("no")), Step::Start(1)];
        assert_eq!(run(&mut Diff::new(hosts(NAMES), Palette(false)), &steps), (String::new(), String::new()));
    }

    #[test]
    fn only_signs_are_coloured() {
        let text = unified("a", "b", b"1\n", b"2\n", Palette(true));
        let expected = "\x1b[31m--- a\x1b[0m\n\x1b[32m+++ b\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n\
                        \x1b[31m-\x1b[0m1\n\x1b[32m+\x1b[0m2\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
