//! The limit on descriptors. It belongs to the process, so this program has only one test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::collections::BTreeMap;

use mitogen_core::sys::{ChildSpec, ChildStdio, iter_read, raise_nofile_limit, spawn, wait_nohang};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::{soon, wait_until};

#[test]
fn a_raised_limit_is_not_inherited_by_children() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard > 300, "nothing can be raised on this machine");
    setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    let raised = raise_nofile_limit().unwrap();
    assert!(raised > 256);
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (raised, hard));
    assert_eq!(raise_nofile_limit().unwrap(), raised, "a second time changes nothing");

    let argv = ["sh", "-c", "ulimit -Sn; ulimit -Hn"].map(Into::into);
    let spec = ChildSpec { argv: &argv, env: &BTreeMap::new(), stdio: ChildStdio::Pipes };
    let child = spawn(&spec).unwrap();
    let pieces: Vec<_> = iter_read(std::os::fd::AsFd::as_fd(&child.receive), Some(soon())).collect();
    let text: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    let hard =
        if hard == nix::sys::resource::RLIM_INFINITY { "unlimited".to_owned() } else { hard.to_string() };
    assert_eq!(String::from_utf8(text).unwrap(), format!("256\n{hard}\n"));
    wait_until("the child ends", || wait_nohang(child.pid).unwrap().is_some());
}
