//! When receivers end: which of them report that nothing more will come, and how.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::time::Duration;

use mitogen_core::call::{CallError, Context, FunctionName, Receiver, Select, SelectError};
use mitogen_core::ids::Identity;
use mitogen_core::router::{HandlerOptions, Router, RouterOptions};
use support::broker;

#[test]
fn only_an_explicit_close_ends_an_iteration_without_an_error() {
    let broker = broker();
    let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
    let receivers: Vec<_> =
        (0..2).map(|_| Receiver::<u32>::new(&router, HandlerOptions::default())).collect();
    for receiver in &receivers {
        receiver.to_sender().send(&1).unwrap();
    }
    receivers[0].to_sender().close();
    assert_eq!(receivers[0].iter().collect::<Result<Vec<_>, _>>().unwrap(), [1]);
    // The broker ends while the other sender is open.
    router.finish();
    let error = receivers[1].iter().collect::<Result<Vec<_>, _>>().unwrap_err();
    assert!(matches!(error, CallError::Dead { .. }), "{error:?}");
    // Its handler is removed, so no message can arrive.
    assert!(matches!(receivers[1].get(), Err(CallError::Closed)));
    broker.shutdown();
}

#[test]
fn a_receiver_of_a_call_is_closed_behind_its_reply() {
    let broker = broker();
    let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
    // A master runs no calls: the reply is a dead message, at once.
    let me = Context::new(&router, Identity::master().id, "master");
    let name: FunctionName = "os.getpid".parse().unwrap();
    let call = || me.request(name.clone()).timeout(Duration::MAX).call_async::<u32>().unwrap();
    let receiver = call();
    assert!(matches!(receiver.get(), Err(CallError::Dead { .. })));
    assert!(matches!(receiver.get(), Err(CallError::Closed)));
    assert!(receiver.is_closed());
    // Both kinds of select give the reply once, and then know that nothing is left.
    for mut select in [Select::new(), Select::new().keep()] {
        select.add("a", call());
        select.add("b", call());
        for _ in 0..2 {
            let (_, reply) = select.get_timeout(Duration::MAX).unwrap();
            assert!(matches!(reply, Err(CallError::Dead { .. })), "{reply:?}");
        }
        assert_eq!(select.get().unwrap_err(), SelectError::Empty);
    }
    // One that is closed and empty from the start ends a select that waits for one event, too.
    let mut select = Select::new();
    select.add("closed", receiver);
    assert!(matches!(select.get().unwrap().1, Err(CallError::Closed)));
    broker.shutdown();
}
