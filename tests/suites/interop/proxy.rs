//! Upstream clients of our listener that start contexts through our contexts.

use mitogen::wire::{Encoding, Message, WellKnownHandle};
use mitogen::{Client, Receiver, Value, pickle};
use mitogen_core::router::{HandlerOptions, Policy};
use mitogen_tests::users::Rule;
use mitogen_tests::{Sshd, TestUser, isolated, run};

use crate::clients::Open;
use crate::common::{TIMEOUT, ssh_args};
use crate::releases::{each, newest};

/// Starts two nested contexts through another one, and requests some that cannot be started.
const LOCAL: &str = r#"
from __future__ import print_function
import os, sys
import mitogen.core, mitogen.parent, mitogen.unix

router = mitogen.unix.connect(sys.argv[1])[0]
try:
    below = mitogen.parent.Context(router, int(sys.argv[3]), name=u'below')
    one = router.local(via=below)
    two = router.local(via=one, name=u'mine', python_path=['/usr/bin/env', 'python3'])
    assert one.name.startswith(u'below.local'), one.name
    assert two.name == one.name + u'.mine', two.name
    assert one.call(os.getppid) == below.call(os.getpid)
    assert two.call(os.getppid) == one.call(os.getpid)
    assert two.call(os.path.join, 'a', 'b') == 'a/b'
    for what, words in [
        (dict(prot=1), 'option `prot`: unknown option'),
        (dict(profiling=True), 'option `profiling`'),
        (dict(python_path='/nonexistent/python'), '/nonexistent/python'),
    ]:
        try:
            router.local(via=one, **what)
            print('came up with', what)
        except mitogen.core.StreamError as e:
            assert words in str(e), e
    assert one.call(os.getpid)
    two.shutdown(wait=True)
    print('content')
finally:
    router.broker.shutdown()
    router.broker.join()
"#;

#[test]
fn clients_of_every_release_start_contexts() {
    isolated(|| {
        each(|release| {
            let open = Open::new();
            let output = open.client(release, LOCAL).output().expect("it starts");
            assert_eq!(
                run::succeeded("the upstream client", &output).expect("the client succeeds"),
                "content\n"
            );
            // The contexts that it started continue as part of our session.
            let members = open.master.connector().contexts();
            assert_eq!(members.iter().filter(|member| member.via == open.deep.id()).count(), 1);
            open.master.shutdown();
        });
    });
}

/// The same with other transports: sudo, su, doas and ssh.
const OTHERS: &str = r#"
from __future__ import print_function
import os, sys
import mitogen.parent, mitogen.unix

router = mitogen.unix.connect(sys.argv[1])[0]
user, password, port, key = sys.argv[4:8]
try:
    via = mitogen.parent.Context(router, int(sys.argv[2]), name=u'via')
    ssh = router.ssh(
        via=via, hostname='127.0.0.1', port=int(port), username=user, identity_file=key, connect_timeout=20.0,
        check_host_keys='enforce', ssh_args=sys.argv[8:]
    )
    for context in (
        router.sudo(via=via, username=user),
        router.su(via=via, username=user),
        ssh,
        router.sudo(via=ssh, password=password),
        router.doas(via=ssh, password=password),
    ):
        print(context.call(os.getuid))
finally:
    router.broker.shutdown()
    router.broker.join()
"#;

#[test]
fn upstream_clients_can_use_all_transports() {
    isolated(|| {
        let server = Sshd::start().expect("a server");
        let user = TestUser::options().sudo(Rule::Password).doas(Rule::Password);
        let user = user.create().expect("an account");
        let open = Open::new();
        let mut client = open.client(&newest(), OTHERS);
        client.args([user.name(), user.password(), &server.port().to_string()]).arg(server.key());
        client.args(ssh_args(&server.known_hosts().display().to_string()));
        let output = client.output().expect("it starts");
        let said = run::succeeded("the upstream client", &output).expect("the client succeeds");
        assert_eq!(said, format!("{}\n", user.uid()).repeat(3) + "0\n0\n");
        open.master.shutdown();
    });
}

#[test]
fn only_connected_contexts_start_children_and_only_below_themselves() {
    isolated(|| {
        let open = Open::new();
        let client = Client::connect(open.path()).expect("a client");
        let options = HandlerOptions { policy: Policy::Any, respondent: Some(client.listener().id()) };
        let answers = Receiver::<Value>::new(client.router(), options);
        let question =
            pickle::to_bytes(&(Value::None, "local", Value::Dict(vec![]))).expect("it can be encoded");
        let message =
            Message::new(client.listener().id(), WellKnownHandle::ProxyConnect, Encoding::Pickle, question);
        client.router().send(Message { reply_to: answers.handle(), ..message }).expect("sent");
        let answer = answers.get_timeout(TIMEOUT).expect("an answer");
        let why = answer.get("msg").and_then(Value::as_str).expect("a refusal");
        assert!(why.contains(&format!("context {} cannot start others", client.id())), "{why}");
        client.shutdown();
        open.master.shutdown();
    });
}
