//! Chains of five hops, each a child of the previous one; adjacent hops have different methods.

use mitogen::dialogue::Secret;
use mitogen::transports::{doas, su, sudo};
use mitogen::{CallError, ConnectHandle, Context, Master, Transport, Value};
use mitogen_tests::users::Rule;
use mitogen_tests::{Sshd, TestUser, wait};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::common::{TIMEOUT, by_key, by_password, local, ssh, up};

/// The length of each chain.
pub(crate) const DEPTH: usize = 5;

/// The server and the accounts that the chains use.
pub(crate) struct Site {
    pub(crate) server: Sshd,
    /// The ssh login; may run any command by sudo, with a password.
    pub(crate) user: TestUser,
    /// The account that su switches to; may run any command by doas, with a password.
    pub(crate) other: TestUser,
}

/// The methods of the five hops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// local, ssh by key, sudo by password, su without one, local.
    Sudo,
    /// local, ssh by password, su by password, doas by password, local.
    Doas,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            server: Sshd::start().unwrap(),
            user: TestUser::options().sudo(Rule::Password).create().unwrap(),
            other: TestUser::options().doas(Rule::Password).create().unwrap(),
        }
    }

    pub(crate) fn sudo(&self) -> sudo::Sudo {
        let password = Some(Secret::new(self.user.password()));
        sudo::Sudo::new(sudo::Options::new().password(password)).unwrap()
    }

    pub(crate) fn su(&self, password: Option<&str>) -> su::Su {
        let (username, password) = (self.other.name().to_owned(), password.map(Secret::new));
        su::Su::new(su::Options::new().username(username).password(password)).unwrap()
    }

    fn doas(&self) -> doas::Doas {
        let password = Some(Secret::new(self.other.password()));
        doas::Doas::new(doas::Options::new().password(password)).unwrap()
    }

    /// The hops of `way`, each with the user that it runs as.
    fn hops(&self, way: Way) -> [(Box<dyn Transport>, u32); DEPTH] {
        let (user, other) = (&self.user, &self.other);
        let by_password = ssh(by_password(&self.server, user.name(), user.password()));
        match way {
            Way::Sudo => [
                (Box::new(local()), 0),
                (Box::new(ssh(by_key(&self.server, user.name()))), user.uid()),
                (Box::new(self.sudo()), 0),
                (Box::new(self.su(None)), other.uid()),
                (Box::new(local()), other.uid()),
            ],
            Way::Doas => [
                (Box::new(local()), 0),
                (Box::new(by_password), user.uid()),
                (Box::new(self.su(Some(other.password()))), other.uid()),
                (Box::new(self.doas()), 0),
                (Box::new(local()), 0),
            ],
        }
    }

    /// Requests a whole chain without waiting.
    pub(crate) fn start(&self, master: &Master, way: Way) -> Vec<ConnectHandle> {
        let mut chain: Vec<ConnectHandle> = Vec::new();
        for (transport, _) in self.hops(way) {
            let next = match chain.last() {
                None => master.connect(&*transport),
                Some(last) => master.connect_via(last.context(), &*transport),
            };
            chain.push(next.unwrap());
        }
        chain
    }

    /// A chain that is up, and whose contexts run as the expected users.
    pub(crate) fn chain(&self, master: &Master, way: Way) -> Vec<Context> {
        let chain: Vec<Context> = self.start(master, way).iter().map(up).collect();
        for (context, (_, uid)) in chain.iter().zip(self.hops(way)) {
            assert_eq!(crate::common::uid(context), uid, "{}", context.name());
        }
        chain
    }
}

pub(crate) fn pid(context: &Context) -> i32 {
    context.call("os.getpid", ()).expect("an answer")
}

/// Waits until a process has ended and has been reaped.
pub(crate) fn wait_gone(pid: i32) {
    let gone = wait::until(TIMEOUT, || kill(Pid::from_raw(pid), None).is_err().then_some(()));
    assert!(gone.is_some(), "process {pid} has outlived its ancestors");
}

/// The reason with which a pending call failed.
pub(crate) fn loss(call: &mitogen::Receiver<Value>) -> String {
    match call.get_timeout(TIMEOUT).expect_err("the link is lost") {
        CallError::Dead { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}
