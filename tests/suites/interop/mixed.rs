//! Masters with children of both kinds, ours and upstream's.

use mitogen::profiles::{Inventory, Overrides, ProfileFile, SecretStore, SystemSecrets};
use mitogen::transports::{builtin, fork};
use mitogen::{ConnectRequest, ConnectionPool, RequestError, Value};
use mitogen_core::ids::Handle;
use mitogen_tests::isolated;

use crate::common::local;
use crate::releases::{master, newest, oldest};

#[test]
fn upstream_children_and_ours_are_served_their_own_modules() {
    isolated(|| {
        let master = master();
        let upstream = newest().child(&master);
        let ours = master.connect(&local()).expect("a plan").wait().expect("a child");
        // Each requests `mitogen.parent`, and gets its own.
        let below = master
            .connect_via(&ours, &local())
            .expect("a plan")
            .wait()
            .expect("our runtime has mitogen.parent");
        let _: String = upstream
            .call("mitogen.parent.get_sys_executable", ())
            .expect("upstream has its own mitogen.parent");
        let _: u32 = below.call("os.getpid", ()).expect("an answer");
        master.shutdown();
    });
}

#[test]
fn unsupported_combinations_are_refused_by_name() {
    isolated(|| {
        let release = newest();
        let master = master();
        let upstream = release.child(&master);
        let ours = master.connect(&local()).expect("a plan").wait().expect("a child");
        let error = master.connect_via(&upstream, &local()).expect_err("upstream cannot run plans");
        assert!(matches!(error, RequestError::UnsupportedIntermediate { .. }), "{error}");
        let settings = release.settings();
        let copy = fork::Fork::default();
        let request = ConnectRequest { transport: &copy, name: None, via: Some(&ours), settings: &settings };
        let error = master.connector().connect(&request).expect_err("a fork cannot run another core");
        assert!(matches!(error, RequestError::CopyOfOtherRuntime { .. }), "{error}");
        assert!(error.to_string().contains(ours.name()), "{error}");
        master.shutdown();
    });
}

/// Releases before 0.3.39 treat every other encoding as a corrupt stream, and end.
#[test]
fn messages_forwarded_to_old_releases_use_an_encoding_they_can_read() {
    isolated(|| {
        let master = master();
        let (old, new) = (oldest().child(&master), newest().child(&master));
        // To an unused handle: a message that can be read is dropped.
        let sender = Value::Sender { context: old.id(), handle: Handle(4_000) };
        let text = "a text in a pickle".to_owned();
        new.call::<Value>("mitogen.core:Sender.send", (sender, text)).expect("sent");
        // This call follows on the same links.
        let _: u32 = new.call("os.getpid", ()).expect("an answer");
        let _: u32 = old.call("os.getpid", ()).expect("its link is whole");
        master.shutdown();
    });
}

#[test]
fn profiles_name_the_package() {
    isolated(|| {
        let release = newest();
        let interpreter = release.interpreter().remove(0);
        let text = format!(
            "[profile.sound]\nmethod = \"local\"\npython = \"{interpreter}\"\nmitogen_package = \"{interpreter}\"\n\
             [profile.wrong]\nmethod = \"local\"\nmitogen_package = \"/nonexistent/python\"\n"
        );
        let registry = builtin();
        let inventory =
            Inventory::parse(&ProfileFile::from_text("m.toml", &text), &registry).expect("valid profiles");
        let chain = |name: &str| {
            let targets = inventory.select(name, None).expect("a target");
            inventory.resolve(&targets[0], &Overrides::default()).expect("a chain")
        };
        let master = master();
        let connections = ConnectionPool::new(&master, SecretStore::new(SystemSecrets));
        let child = connections.connect(&chain("sound")).expect("a plan").wait().expect("it comes up");
        let cast: String = child.call("mitogen.utils.cast", ("word",)).expect("a module of upstream");
        assert_eq!(cast, "word");
        let error = connections.connect(&chain("wrong")).expect_err("no such interpreter");
        assert!(mitogen::with_causes(&error).to_string().contains("/nonexistent/python"), "{error}");
        master.shutdown();
    });
}
