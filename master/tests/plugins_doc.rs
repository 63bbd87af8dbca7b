//! `docs/plugins.md` describes transports of a profile file: its examples are loaded, and the command line below each is the
//! one that would be run.

use mitogen::connect::ChildCommand;
use mitogen::dialogue::quote_argv;
use mitogen::profiles::{Inventory, Overrides, ProfileFile};
use mitogen::transports::builtin;

const DOCUMENT: &str = include_str!("../../docs/plugins.md");

fn inventory(text: &str) -> Inventory {
    match Inventory::parse(&ProfileFile::from_text("m.toml", text), &builtin()) {
        Ok(inventory) => inventory,
        Err(faults) => panic!("{faults}\n{text}"),
    }
}

#[test]
fn examples_make_the_recorded_command_lines() {
    let mut recorded = 0;
    for example in DOCUMENT.split("```toml\n").skip(1) {
        let (text, rest) = example.split_once("```").expect("the example ends");
        let inventory = inventory(text);
        let Some(line) = rest.trim_start().strip_prefix("```text\n").and_then(|rest| rest.lines().next())
        else {
            continue;
        };
        let target = inventory.select("*", None).unwrap().remove(0);
        let chain = inventory.resolve(&target, &Overrides::default()).unwrap();
        let hop = &chain.hops[0];
        let transport = hop.transport().unwrap().create(hop.masked_options().into()).unwrap();
        let plan = transport.plan(&ChildCommand::new(["python3", "-c", "..."])).unwrap();
        assert_eq!(quote_argv(plan.argv()), line, "{text}");
        recorded += 1;
    }
    assert!(recorded >= 7, "{recorded} examples have a command line");
}

#[test]
fn every_key_of_the_table_is_known() {
    let keys: Vec<&str> = DOCUMENT
        .split("## The command line")
        .next()
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(keys.len() >= 13, "{keys:?}");
    let value = |key: &str| match key {
        "argv" => "[\"x\", \"{child...}\"]",
        "options" | "env" | "stages" => "{}",
        "rules" | "exits" => "[]",
        "quote" => "\"shell\"",
        "stdio" => "\"pipes\"",
        "preamble" => "\"after_marker\"",
        "stage" => "\"shell\"",
        "keepalive" => "true",
        _ => "\"text\"",
    };
    let lines: String = keys.iter().map(|key| format!("{key} = {}\n", value(key))).collect();
    inventory(&format!("[transport.x]\n{lines}"));
}
