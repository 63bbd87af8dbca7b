//! `cargo xtask imports`: files of one crate that import each other in a circle.
//!
//! An import is any name that a file uses from another file of its crate, by `use`, `pub use` or a path in the code. A
//! name counts for the file that defines it: what a `mod.rs` only passes on leads to the file behind it. Code that is
//! compiled for tests only is left out. Nothing is compiled; `source.rs` reads the files with syn.

mod graph;
mod resolve;
mod source;

use std::path::Path;

use graph::Graph;
use source::Crate;

use crate::root::Result;
use crate::{licences, root};

/// Runs the task: prints every circle, and fails when there is one.
pub(crate) fn run() -> Result<()> {
    let root = root::root();
    let mut circles = 0;
    let mut files = 0;
    for (name, path) in targets()? {
        let krate = Crate::read(&path, &name)?;
        files += krate.files.len();
        let graph = Graph::of(&krate);
        for circle in graph.circles() {
            circles += 1;
            println!("{}", graph.describe(&circle, &krate, &root));
        }
    }
    if circles == 0 {
        println!("{files} files, no import circles");
        Ok(())
    } else {
        Err(format!("{circles} import circles"))
    }
}

/// Name and root file of each library and program of the workspace.
fn targets() -> Result<Vec<(String, std::path::PathBuf)>> {
    let metadata = licences::workspace()?;
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for target in package["targets"].as_array().into_iter().flatten() {
            let kinds = target["kind"].as_array().cloned().unwrap_or_default();
            let is_product =
                kinds.iter().any(|kind| ["lib", "bin", "proc-macro"].iter().any(|word| kind == word));
            if let (true, Some(name), Some(path)) =
                (is_product, target["name"].as_str(), target["src_path"].as_str())
            {
                found.push((name.to_owned(), Path::new(path).to_path_buf()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a made-up crate: files of each, sorted.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let dir = std::env::temp_dir().join(format!(
            "xtask-imports-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        for (file, text) in files {
            let path = dir.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let krate = Crate::read(&dir.join("lib.rs"), "made_up").unwrap();
        let graph = Graph::of(&krate);
        let found = graph.circles().iter().map(|circle| graph.describe(circle, &krate, &dir)).collect();
        std::fs::remove_dir_all(&dir).unwrap();
        found
    }

    #[test]
    fn a_circle_is_shown_with_its_lines() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "use crate::b::B;\npub struct A(B);"),
            ("b.rs", "\npub struct B;\nimpl B { fn a() { super::a::A::new(); } }"),
            ("c.rs", "use crate::a::A; use crate::b::B;"),
        ]);
        assert_eq!(
            found,
            ["circle of 2 files\n  a.rs:1 -> b.rs (crate::b::B)\n  b.rs:3 -> a.rs (super::a::A::new)"]
        );
    }

    #[test]
    fn a_re_export_is_followed_to_the_definition() {
        // `one` and `two` import through `mod.rs`, which defines nothing: only the two depend on each other.
        let found = circles(&[
            ("lib.rs", "mod m;"),
            ("m/mod.rs", "mod one; mod two;\npub use one::One; pub use two::*;"),
            ("m/one.rs", "use super::Two; pub struct One(Two);"),
            ("m/two.rs", "pub struct Two; fn f(_: &super::One) {}"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("m/one.rs:1 -> m/two.rs (super::Two)"), "{}", found[0]);
        assert!(!found[0].contains("mod.rs"), "{}", found[0]);
    }

    #[test]
    fn a_module_and_its_child_can_be_a_circle() {
        let defines = [
            ("lib.rs", "mod m;"),
            ("m/mod.rs", "mod one;\nconst LIMIT: u8 = 1; fn f() { one::g() }"),
            ("m/one.rs", "use super::LIMIT; pub fn g() -> u8 { LIMIT }"),
        ];
        assert_eq!(circles(&defines).len(), 1);
        let declares = [("lib.rs", "mod m;"), ("m/mod.rs", "mod one;\npub const LIMIT: u8 = 1;"), defines[2]];
        assert_eq!(circles(&declares), [""; 0]);
    }

    #[test]
    fn globs_count_for_the_names_that_are_used() {
        let glob = |used: &str| {
            circles(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::*; pub fn a() { b1() }"),
                ("b.rs", &format!("use crate::a::*;\nuse std::fmt::*;\npub fn b1() {{ {used} }}")),
            ])
        };
        assert_eq!(glob("a()").len(), 1);
        assert_eq!(glob("vec![a(), 1]").len(), 0, "a lower-case name in a macro may be a variable");
        assert_eq!(glob("println!(\"{}\", crate::a::a())").len(), 1);
        assert_eq!(glob("b1()").len(), 0);
    }

    #[test]
    fn code_for_tests_does_not_count() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;\n#[cfg(test)] mod tests;"),
            ("a.rs", "use crate::b::B;"),
            (
                "b.rs",
                "pub struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n\
                 impl B { #[cfg(all(test, unix))] fn f(_: crate::a::A) {} }",
            ),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn inline_modules_and_paths_are_read() {
        let found = circles(&[
            ("lib.rs", "mod a { pub mod inner; pub use self::inner::X; }\n#[path = \"odd.rs\"] mod b;"),
            ("a/inner.rs", "pub struct X; use crate::b::Y as Z;"),
            ("odd.rs", "pub struct Y(crate::a::X);"),
        ]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_function_may_have_the_name_of_its_module() {
        let found = circles(&[
            ("lib.rs", "mod check;"),
            ("check/mod.rs", "mod limit; mod list;\nuse limit::limit; fn f() { limit(); list::list() }"),
            ("check/limit.rs", "pub fn limit() {}"),
            ("check/list.rs", "use super::limit::limit; pub fn list() { limit() }"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_name_from_outside_counts_for_the_file_that_imports_it() {
        let found = circles(&[
            ("lib.rs", "mod a;\npub mod parts { pub use other_crate as part; }\npub use a::A;"),
            ("a.rs", "use crate::parts::part; pub struct A;"),
        ]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn every_target_of_the_workspace_can_be_read() {
        for (name, path) in targets().unwrap() {
            Crate::read(&path, &name).unwrap();
        }
    }
}
