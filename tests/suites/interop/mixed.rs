//! Trees in which both kinds of children stand.

use std::time::Duration;

use mitogen::pickle::Sender;
use mitogen::{ConnectRequest, Receiver, RequestError, Value};
use mitogen_tests::isolated;

use crate::common::{PATIENCE, local};
use crate::releases::{master, newest, oldest};

#[test]
fn both_kinds_are_served_their_own_modules() {
    isolated(|| {
        let master = master();
        let stock = newest().child(&master);
        let ours = master.connect(&local()).expect("a plan").wait().expect("a child");
        // Each asks for a `mitogen.parent`, and means its own.
        let below = master.connect_via(&ours, &local()).expect("a plan").wait().expect("ours has one");
        let _: u32 = stock.call("mitogen.parent.get_log_level", ()).expect("stock has another");
        let _: u32 = below.call("os.getpid", ()).expect("an answer");
        master.shutdown();
    });
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    isolated(|| {
        let release = newest();
        let master = master();
        let stock = release.child(&master);
        let ours = master.connect(&local()).expect("a plan").wait().expect("a child");
        let error = master.connect_via(&stock, &local()).expect_err("stock runs no plans");
        assert!(matches!(error, RequestError::ViaStock { .. }), "{error}");
        let settings = release.settings();
        let request = ConnectRequest { transport: &local(), name: None, via: Some(&ours), settings: &settings };
        let error = master.connector().connect(&request).expect_err("ours has no stock core");
        assert!(matches!(error, RequestError::StockVia { .. }), "{error}");
        assert!(error.to_string().contains(ours.name()), "{error}");
        master.shutdown();
    });
}
