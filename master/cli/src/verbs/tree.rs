//! `mitogen tree`: the contexts of a running tree.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use mitogen::Client;
use mitogen::ids::ContextId;
use mitogen::listen::{Told, default_path};
use serde_json::json;

use crate::args::{Global, Tree};
use crate::output::SCHEMA;

/// How long the contexts may take, together, to say which Python they are.
const PATIENCE: Duration = Duration::from_secs(2);

/// Prints the tree.
///
/// # Errors
/// There is no such tree, and errors of the stream.
pub fn tree(global: &Global, asked: &Tree, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = global.tree().unwrap_or_else(default_path);
    let client = Client::connect(&path)?;
    let contexts = client.contexts()?;
    let kinds = kinds(&client, &contexts);
    if asked.json {
        let contexts: Vec<_> = contexts
            .iter()
            .zip(&kinds)
            .map(|(told, kind)| {
                json!({
                    "id": told.id, "name": told.name, "via": told.via, "method": told.method,
                    "python": kind, "since": told.since, "target": told.target,
                })
            })
            .collect();
        writeln!(out, "{}", json!({"schema": SCHEMA, "socket": path, "contexts": contexts}))?;
    } else {
        writeln!(out, "{}", path.display())?;
        let mut below: BTreeMap<u32, Vec<(&Told, Option<&str>)>> = BTreeMap::new();
        for (told, kind) in contexts.iter().zip(&kinds) {
            below.entry(told.via).or_default().push((told, kind.as_deref()));
        }
        draw(&below, client.listener().id().0, "", out)?;
    }
    client.shutdown();
    Ok(())
}

/// Which Python each one is; `None` for those that are too busy to say.
fn kinds(client: &Client, contexts: &[Told]) -> Vec<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let asked: Vec<_> = contexts
        .iter()
        .map(|told| {
            let context = client.context(ContextId(told.id), &told.name);
            context.call_async::<String>("platform.python_version", ())
        })
        .collect();
    asked.into_iter().map(|asked| asked.ok()?.get_deadline(deadline).ok()).collect()
}

fn draw(
    below: &BTreeMap<u32, Vec<(&Told, Option<&str>)>>,
    id: u32,
    indent: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let children = below.get(&id).map_or(&[][..], Vec::as_slice);
    for (i, (told, kind)) in children.iter().enumerate() {
        let last = i + 1 == children.len();
        let (branch, further) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let kind = kind.map_or_else(|| "busy".to_owned(), |version| format!("Python {version}"));
        let Told { id, name, method, .. } = told;
        let target = told.target.as_ref().map_or_else(String::new, |target| format!(" ({target})"));
        writeln!(out, "{indent}{branch}{id} {name}{target}  {method}  {kind}  up {}", age(told.age()))?;
        draw(below, *id, &format!("{indent}{further}"), out)?;
    }
    Ok(())
}

/// A time as people say it.
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
    fn children_stand_under_their_parents() {
        let told = |id, via, name: &str| Told {
            id,
            name: name.to_owned(),
            via,
            method: "local".to_owned(),
            since: f64::MAX,
            target: (id == 2).then(|| "web".to_owned()),
        };
        let all = [told(1, 0, "a"), told(2, 1, "a.b"), told(3, 0, "c")];
        let mut below: BTreeMap<u32, Vec<(&Told, Option<&str>)>> = BTreeMap::new();
        for told in &all {
            below.entry(told.via).or_default().push((told, (told.id != 3).then_some("3.11.2")));
        }
        let mut out = Vec::new();
        draw(&below, 0, "", &mut out).unwrap();
        let expected = "\
├─ 1 a  local  Python 3.11.2  up 0 s
│  └─ 2 a.b (web)  local  Python 3.11.2  up 0 s
└─ 3 c  local  busy  up 0 s
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(
            [age(59.9), age(61.0), age(7500.0), age(200_000.0)],
            ["59 s", "1 min", "2 h 5 min", "2 d 7 h"]
        );
    }
}
