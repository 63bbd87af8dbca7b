//! Much data in both directions, single bytes, key exchanges meanwhile, and many sessions.

use mitogen::command::Command;
use mitogen_tests::{Sshd, TestUser, isolated};

use crate::common::{by_key, master, run, up};
use crate::ssh2;

/// All byte values, without a period that a buffer's size could hide.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| u8::try_from((index ^ (index >> 8)) & 0xff).unwrap()).collect()
}

fn echo(server: &Sshd, user: &str, size: usize) {
    let master = master();
    let context = up(&master.connect(&ssh2(by_key(server, user))).unwrap());
    let sent = pattern(size);
    let output = run(&context, &Command::shell("cat"), &sent);
    assert!(output.stdout == sent, "{} bytes of {} came back", output.stdout.len(), sent.len());
    // In one message each way.
    let text = "abc ".repeat(size / 32);
    let upper: String = context.call("string.capwords", (&text,)).unwrap();
    assert_eq!(upper.len(), text.len() - 1);
    master.shutdown();
}

#[test]
fn sixteen_mebibytes_pass_each_way() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        echo(&server, user.name(), 16 << 20);
    });
}

#[test]
fn data_passes_while_keys_are_exchanged_again_and_again() {
    isolated(|| {
        let (server, user) =
            (Sshd::options().line("RekeyLimit 256K").start().unwrap(), TestUser::new().unwrap());
        echo(&server, user.name(), 4 << 20);
    });
}

#[test]
fn single_bytes_pass_at_once() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let context = up(&master.connect(&ssh2(by_key(&server, user.name()))).unwrap());
        for index in 0..500_u32 {
            let back: u32 = context.call("operator.add", (index, 1)).unwrap();
            assert_eq!(back, index + 1);
        }
        master.shutdown();
    });
}

#[test]
fn forty_sessions_are_open_at_once_in_one_process() {
    isolated(|| {
        let (server, user) = (Sshd::start().unwrap(), TestUser::new().unwrap());
        let master = master();
        let connecting: Vec<_> =
            (0..40).map(|_| master.connect(&ssh2(by_key(&server, user.name()))).unwrap()).collect();
        let contexts: Vec<_> = connecting.iter().map(up).collect();
        assert_eq!(crate::common::ssh_clients(), 0);
        let calls: Vec<_> =
            contexts.iter().map(|context| context.call_async::<u32>("os.getuid", ()).unwrap()).collect();
        for call in calls {
            assert_eq!(call.get_timeout(crate::common::TIMEOUT).unwrap(), user.uid());
        }
        master.shutdown();
    });
}
