//! Stock Mitogen's client in our tree.

use std::process::{Command, Stdio};

use mitogen_tests::{StockVenv, pythons, run};

use crate::Open;
use crate::common::local;

/// Joins, calls in the contexts that it is told of, lets one of them start a context, and leaves.
const PROGRAM: &str = r#"
from __future__ import print_function
import os, sys
import mitogen.core, mitogen.master, mitogen.parent, mitogen.unix
import mitogen.utils

router = None
try:
    result = mitogen.unix.connect(sys.argv[1])
    router, listener = result[0], result[1]
    assert mitogen.context_id not in (0, None), mitogen.context_id
    assert listener.context_id == 0, listener
    for text in sys.argv[2:]:
        context = mitogen.parent.Context(router, int(text))
        print(context.call(os.getpid), context.call(os.path.join, 'a', 'b'))
        try:
            context.call(os.listdir, '/nowhere')
            print('no error')
        except mitogen.core.CallError as e:
            print('OSError' in str(e) or 'FileNotFoundError' in str(e))
finally:
    if router:
        router.broker.shutdown()
        router.broker.join()
"#;

#[test]
fn a_stock_client_calls_functions_in_our_contexts() {
    for python in &pythons() {
        // The reference's client needs no more than any one of each kind.
        let stock = StockVenv::new(python).expect("stock Mitogen");
        let open = Open::new();
        let child = open.child();
        let deep = open.master.connect_via(&child, &local()).unwrap().wait().unwrap();
        let mut expected = String::new();
        for context in [&child, &deep] {
            let pid: i32 = context.call("os.getpid", ()).unwrap();
            expected += &format!("{pid} a/b\nTrue\n");
        }
        let mut program = Command::new(stock.python());
        program.args(["-c", PROGRAM]).arg(open.path());
        program.args([child.id().to_string(), deep.id().to_string()]).stdin(Stdio::null());
        let output = program.output().expect("it starts");
        assert_eq!(run::succeeded("the stock client", &output).unwrap(), expected, "{python:?}");
        // It has left, and all is well.
        assert_eq!(child.call::<i64>("operator.add", (1, 1)).unwrap(), 2);
        open.master.shutdown();
    }
}
