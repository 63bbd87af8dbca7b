//! Python modules embedded in a Rust program, called in a child.

use std::sync::Arc;

use mitogen::modules::EmbeddedDir;
use mitogen::transports::local;
use mitogen::{ChildSettings, Master, MasterOptions, Python};

use super::pythons;

static APP: EmbeddedDir = mitogen::embed!("$CARGO_MANIFEST_DIR/suites/finder/embedded");

#[test]
fn a_package_in_the_binary_runs_in_a_child() {
    for python in pythons() {
        let argv = vec![python.path.to_string_lossy().into_owned()];
        let settings = ChildSettings::new(Python::with_interpreter(argv));
        let options = MasterOptions::default().modules(vec![Arc::new(&APP)]).settings(settings);
        let master = Master::start(options).expect("a master starts");
        let child = master.connect(&local::Local::default()).expect("a plan");
        let child = child.wait().expect("a child");
        let version = python.version_text();
        let greeting: String = child.call("greeter.greet", ("world",)).expect("an answer");
        assert_eq!(greeting, "hello, world: 6", "under {version}");
        let place: String = child.call("greeter.where", ()).expect("an answer");
        assert_eq!(place, "master:mitogen-tests/greeter/shapes.py", "under {version}");
        master.shutdown();
    }
}
