//! Messages between contexts of different branches do not pass any context above their nearest common parent.

use mitogen::{Context, Master, Transport, Value};
use mitogen_tests::isolated;

use crate::common::{by_key, local, master, ssh, up};
use crate::five::{Site, pid};

const PIECE: usize = 1 << 19;
const PIECES: usize = 32;

fn below(master: &Master, via: &Context, transport: &dyn Transport) -> Context {
    up(&master.connect_via(via, transport).unwrap())
}

/// Runs statements in a context, as a module with that name.
fn exec(context: &Context, code: &str) {
    let globals = Value::Dict(vec![(Value::from("__name__"), Value::from("sibling"))]);
    let _: Value = context.call("builtins.exec", (code, globals)).expect("it runs");
}

/// Adds a service to this context that every context may call.
fn serve(context: &Context) {
    exec(
        context,
        "import mitogen.service as service\n\
         class Echo(service.Service):\n\
         \x20   @service.expose(service.AllowAny())\n\
         \x20   def echo(self, data, msg):\n\
         \x20       return data, msg.src_id\n\
         service.get_or_create_pool().add(Echo(None))",
    );
}

/// Calls `to` from `from`, with large arguments and results.
fn call(from: &Context, to: &Context) {
    exec(
        from,
        &format!(
            "import mitogen.core as core\n\
             to = core.Context(core.router, {}, None)\n\
             for number in range({PIECES}):\n\
             \x20   data = bytes(bytearray([number])) * {PIECE}\n\
             \x20   assert to.call_service('sibling.Echo', 'echo', data=data) == (data, {})",
            to.id(),
            from.id()
        ),
    );
}

/// How many bytes a process has read so far from any descriptor.
fn bytes_read(pid: i32) -> usize {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
fn messages_between_branches_pass_their_nearest_common_parent() {
    isolated(|| {
        let site = Site::new();
        let master = master();
        let top = up(&master.connect(&local()).unwrap());
        let host = below(&master, &top, &ssh(by_key(&site.server, site.user.name())));
        let root = below(&master, &host, &site.sudo());
        // At depths of four, three and three; the first two share the host, and all share the top.
        let deep = below(&master, &root, &local());
        let cousin = below(&master, &host, &local());
        let other = below(&master, &below(&master, &top, &site.su(None)), &local());
        [&deep, &cousin, &other].into_iter().for_each(serve);
        let (here, top) = (i32::try_from(std::process::id()).unwrap(), pid(&top));
        for (one, two, above) in [(&deep, &cousin, vec![here, top]), (&deep, &other, vec![here])] {
            for (from, to) in [(one, two), (two, one)] {
                let before: Vec<usize> = above.iter().copied().map(bytes_read).collect();
                call(from, to);
                for (pid, before) in above.iter().zip(before) {
                    let read = bytes_read(*pid) - before;
                    assert!(read < PIECE, "{read} bytes of {} passed a context above", 2 * PIECE * PIECES);
                }
            }
        }
        // Check that the counter includes messages that pass.
        let before = bytes_read(top);
        call(&deep, &other);
        assert!(bytes_read(top) - before > PIECE * PIECES);
        master.shutdown();
    });
}
