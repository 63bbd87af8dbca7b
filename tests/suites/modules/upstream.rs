//! Programs that are written for upstream Mitogen, one file for both sides: their functions run in our children,
//! start contexts below them and exchange messages with them.

use std::path::Path;

use mitogen::{ChildSettings, Context, Python, Value};
use mitogen_tests::isolated;

use crate::{call, chain, master};

/// The program, which the tests of the Python runtime use, too.
fn program() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/runtimes/python/python/tests")
}

#[test]
fn a_program_starts_contexts_below_a_child_and_talks_to_them() {
    isolated(|| {
        let master = master(&[&program()]);
        let contexts: Vec<Context> = chain(&master, &ChildSettings::new(Python::new()), 1);
        let child = &contexts[0];
        let of = |name: &str| call::<Value>(child, &format!("upstream_program.{name}"), ());

        let Value::List(basics) = of("basics") else { panic!("a list") };
        assert_eq!(basics[0], Value::Bool(true), "{basics:?}");
        assert_eq!(basics[2], Value::from("abab"));
        assert_eq!(basics[5], Value::from("ValueError: on purpose"));
        assert_eq!(basics[6..], [Value::Bool(true), Value::Bool(true), Value::Bool(true)]);

        let answer: Value = call(child, "upstream_program.ping_pong", (20,));
        assert_eq!(answer, Value::Tuple(vec![Value::Int(20), Value::List(Vec::new()), Value::from("done")]));

        let Value::List(main) = of("in_a_main_program") else { panic!("a list") };
        assert_eq!(main[..3], [Value::Bool(true), Value::Bool(true), Value::Bool(true)]);

        // What does not start is reported in the words that programs compare.
        let errors: Vec<Value> = call(child, "upstream_program.refused", ("/bin/false",));
        let beginnings =
            [("EofError", "EOF on stream; last 100 lines received:\n"), ("StreamError", "unknown method")];
        for (error, (kind, beginning)) in errors.iter().zip(beginnings) {
            let Value::List(error) = error else { panic!("a list") };
            assert_eq!(error[0].as_str(), Some(kind), "{error:?}");
            assert!(error[1].as_str().is_some_and(|text| text.starts_with(beginning)), "{error:?}");
        }
        master.shutdown();
    });
}
