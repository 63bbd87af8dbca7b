//! How long a router remembers ids and the names of disconnected contexts.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use mitogen_core::ids::{ContextId, Identity};
use mitogen_core::router::{Router, RouterOptions};
use support::broker;

#[test]
fn ids_are_not_reused_and_children_cannot_exhaust_them() {
    let broker = broker();
    let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
    assert_eq!(router.ids().allocate(), ContextId(1));
    assert_eq!(router.ids().allocate_block(1000), Some(ContextId(2)));
    assert_eq!(router.ids().allocate(), ContextId(1002));
    // Allocate blocks until the limit is reached.
    let mut last = 0;
    while let Some(ContextId(first)) = router.ids().allocate_block(1 << 20) {
        assert!(first > last, "{first} after {last}");
        last = first;
    }
    assert!(last < u32::MAX / 2);
    // Our own contexts have ids all the same, and none is a second time, or the master's.
    let own: Vec<u32> = (0..1000).map(|_| router.ids().allocate().0).collect();
    assert!(own[0] >= last + (1 << 20) && own.windows(2).all(|pair| pair[1] == pair[0] + 1), "{own:?}");
    broker.shutdown();
}

#[test]
fn contexts_that_disconnected_are_eventually_forgotten() {
    const GONE: u32 = 10_000;
    let broker = broker();
    let router = Router::new(Identity::master(), broker.handle(), RouterOptions::default());
    let stays = router.ids().allocate();
    router.links().begin(stays, "stays");
    let mut gone = Vec::new();
    for _ in 0..GONE {
        let id = router.ids().allocate();
        let link = router.links().begin(id, "goes");
        router.links().lost(link, "it has gone");
        assert_eq!(router.directory().name_of(id).as_deref(), Some("goes"), "a later request may need it");
        gone.push(id);
    }
    let known = gone.iter().filter(|id| router.directory().name_of(**id).is_some()).count();
    assert!(known < 5000, "{known} names of {GONE} contexts that are gone");
    assert_eq!(router.directory().name_of(stays).as_deref(), Some("stays"));
    router.directory().set_name(stays, &"x".repeat(1 << 20));
    assert_eq!(router.directory().name_of(stays).unwrap().len(), 500);
    broker.shutdown();
}
