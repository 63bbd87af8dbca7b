//! A process without a standard input, such as some services, must set up the descriptors of its children correctly,
//! although new descriptors get the number 0. This program has only one test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its helpers too")]

mod support;

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use mitogen_core::sys::{self, ChildSpec, ChildStdio, spawn, wait_nohang};
use support::{soon, wait_until};

#[test]
fn children_have_the_right_stdio_when_descriptor_zero_is_closed() {
    nix::unistd::close(0).unwrap();
    for stdio in [ChildStdio::Socketpair, ChildStdio::Pipes, ChildStdio::Tty, ChildStdio::HybridTty] {
        let argv = ["cat".into()];
        let child = spawn(&ChildSpec { argv: &argv, env: &BTreeMap::new(), stdio }).unwrap();
        let transmit = child.transmit.as_ref().unwrap_or(&child.receive);
        sys::write_all(transmit.as_fd(), b"there and back", Some(soon())).unwrap();
        sys::discard_until(child.receive.as_fd(), b"there and back", Some(soon())).unwrap();
        sys::kill(child.pid, nix::libc::SIGKILL).unwrap();
        wait_until("the child ends", || wait_nohang(child.pid).unwrap().is_some());
    }
}
