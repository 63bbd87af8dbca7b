//! `mitogen tree`: the contexts of a running `mitogen serve`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use mitogen::Client;
use mitogen::ids::ContextId;
use mitogen::listen::{ListedContext, default_path};
use serde_json::json;

use crate::cli::TreeArgs;
use crate::output::SCHEMA;
use crate::session::{Env, join};

/// The time limit for the answers of all contexts together.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Prints the contexts, each below its parent.
///
/// # Errors
/// Nothing listens at the socket, and errors of `out`.
pub fn tree(env: Env<'_>, args: &TreeArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = env.socket().unwrap_or_else(default_path);
    let client = join(&path)?;
    let contexts = client.contexts()?;
    let answers = ask(&client, &contexts);
    let depths = depths(&contexts);
    if args.json {
        let contexts: Vec<_> = contexts
            .iter()
            .zip(&answers)
            .map(|(told, answers)| {
                json!({
                    "id": told.id, "name": told.name, "via": told.via, "depth": depths.get(&told.id),
                    "method": told.method, "python": answers.python, "pid": answers.pid,
                    "since": told.since, "target": told.target,
                })
            })
            .collect();
        writeln!(out, "{}", json!({"schema": SCHEMA, "socket": path, "contexts": contexts}))?;
    } else {
        writeln!(out, "{}", path.display())?;
        let mut below: BTreeMap<u32, Vec<(&ListedContext, &Answers)>> = BTreeMap::new();
        for pair in contexts.iter().zip(&answers) {
            below.entry(pair.0.via).or_default().push(pair);
        }
        draw(&below, client.listener().id().0, "", out)?;
    }
    client.shutdown();
    Ok(())
}

/// What a context says about itself. `None` if it does not answer in time.
#[derive(Debug, Default)]
struct Answers {
    python: Option<String>,
    pid: Option<u32>,
}

fn ask(client: &Client, contexts: &[ListedContext]) -> Vec<Answers> {
    let deadline = Instant::now() + TIMEOUT;
    let calls: Vec<_> = contexts
        .iter()
        .map(|told| {
            let context = client.context(ContextId(told.id), &told.name);
            let pid = context.call_async::<u32>("os.getpid", ());
            (context.call_async::<String>("platform.python_version", ()), pid)
        })
        .collect();
    calls
        .into_iter()
        .map(|(python, pid)| Answers {
            python: python.ok().and_then(|python| python.get_deadline(deadline).ok()),
            pid: pid.ok().and_then(|pid| pid.get_deadline(deadline).ok()),
        })
        .collect()
}

/// The depth of each context below the root. Parents come before their children in `contexts`.
fn depths(contexts: &[ListedContext]) -> BTreeMap<u32, u32> {
    let mut depths = BTreeMap::new();
    for told in contexts {
        let above: u32 = depths.get(&told.via).copied().unwrap_or(0);
        depths.insert(told.id, above + 1);
    }
    depths
}

fn draw(
    below: &BTreeMap<u32, Vec<(&ListedContext, &Answers)>>,
    id: u32,
    indent: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let children = below.get(&id).map_or(&[][..], Vec::as_slice);
    for (i, (told, answers)) in children.iter().enumerate() {
        let last = i + 1 == children.len();
        let (branch, further) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let kind = answers.python.as_ref().map_or_else(|| "busy".to_owned(), |it| format!("Python {it}"));
        let pid = answers.pid.map_or_else(String::new, |pid| format!("  pid {pid}"));
        let ListedContext { id, name, method, .. } = told;
        let target = told.target.as_ref().map_or_else(String::new, |target| format!(" ({target})"));
        writeln!(
            out,
            "{indent}{branch}{id} {name}{target}  {method}  {kind}{pid}  up {}",
            age(told.age().as_secs_f64())
        )?;
        draw(below, *id, &format!("{indent}{further}"), out)?;
    }
    Ok(())
}

/// A duration in seconds as text for people.
fn age(seconds: f64) -> String {
    match seconds as u64 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_drawn_below_their_parents() {
        let told = |id, via, name: &str| {
            let mut context = ListedContext::new(id, name, via, "local", f64::MAX);
            context.target = (id == 2).then(|| "web".to_owned());
            context
        };
        let all = [told(1, 0, "a"), told(2, 1, "a.b"), told(3, 0, "c")];
        let (answers, busy) =
            (Answers { python: Some("3.11.2".to_owned()), pid: Some(7) }, Answers::default());
        let mut below: BTreeMap<u32, Vec<(&ListedContext, &Answers)>> = BTreeMap::new();
        for told in &all {
            below.entry(told.via).or_default().push((told, if told.id == 3 { &busy } else { &answers }));
        }
        assert_eq!(depths(&all).into_iter().collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 1)]);
        let mut out = Vec::new();
        draw(&below, 0, "", &mut out).unwrap();
        let expected = "\
├─ 1 a  local  Python 3.11.2  pid 7  up 0 s
│  └─ 2 a.b (web)  local  Python 3.11.2  pid 7  up 0 s
└─ 3 c  local  busy  up 0 s
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(
            [age(59.9), age(61.0), age(7500.0), age(200_000.0)],
            ["59 s", "1 min", "2 h 5 min", "2 d 7 h"]
        );
    }
}
