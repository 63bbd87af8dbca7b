"""Functions of a program for upstream Mitogen, which `test_upstream.py` calls in a child of this project."""
import os
import threading
import mitogen
import mitogen.core
import mitogen.debug
import mitogen.master
import mitogen.minify
import mitogen.os_fork
import mitogen.parent
import mitogen.select
import mitogen.ssh
import mitogen.sudo
import mitogen.unix
import mitogen.utils
from mitogen.core import b, to_text, takes_econtext, takes_router


def where():
    return os.getpid()


@takes_router
def ppid_of(context, router):
    return context.call(os.getppid)


class Thing(object):
    @classmethod
    def twice(cls, x):
        return x * 2

    def method(self):
        pass


def fail(text):
    raise ValueError(text)


# The basics: contexts below contexts, calls, errors, ids.


@takes_econtext
def basics(econtext):
    router = econtext.router
    one = router.local()
    two = router.local(via=one, name=u"named")
    out = [one.call(os.getppid) == os.getpid(), two.call(os.getppid) == one.call(where)]
    out.append(two.call(Thing.twice, u"ab"))
    out.append(one.call(ppid_of, two) == one.call(where))
    out.append([to_text(one.name), to_text(two.name)])
    try:
        two.call(fail, u"on purpose")
    except mitogen.core.CallError as exc:
        out.append(to_text(exc).split(u"\n")[0].split(u".", 1)[1])
    chain = mitogen.parent.CallChain(one, pipelined=True)
    with chain:
        chain.call_no_reply(fail, u"first")
        try:
            chain.call(where)
        except mitogen.core.CallError as exc:
            out.append(u"first" in to_text(exc))
        chain.reset()
        out.append(chain.call(where) == one.call(where))
    latch = two.shutdown(wait=False)
    latch.get(30)
    one.shutdown(wait=True)
    try:
        one.call(where)
    except mitogen.core.ChannelError as exc:
        out.append(len(to_text(exc)) > 0)
    return out


def in_a_main_program():
    def main(router):
        return router.local().call(os.getppid) == os.getpid()
    broker = mitogen.master.Broker()
    router = mitogen.master.Router(broker)
    context = router.fork()
    try:
        return [
            mitogen.utils.run_with_router(main), mitogen.utils.with_router(main)(),
            context.call(os.getppid) == os.getpid(), type(broker.defer_sync(where)).__name__,
        ]
    finally:
        broker.shutdown()
        broker.join()


@takes_econtext
def refused(path, econtext):
    out = []
    for method, kwargs in (("local", {"python_path": path}), ("nothing", {})):
        try:
            econtext.router.connect(method, **kwargs)
        except mitogen.core.StreamError as exc:
            out.append([to_text(type(exc).__name__), to_text(exc)])
    out.append(mitogen.parent.Connection.eof_error_msg)
    return out


def unnamed():
    out = []
    context = mitogen.core.router.myself()
    local = 1
    def closure():
        return local
    for func in closure, lambda: 1, Thing().method:
        try:
            context.call(func)
        except TypeError as exc:
            out.append(to_text(exc).split(u",")[0])
    chain = mitogen.parent.CallChain
    return out + [to_text(text).split(u",")[0] for text in (chain.closures_msg, chain.lambda_msg, chain.method_msg)]


# Ping pong: two contexts that exchange messages by senders.


@takes_router
def pong(reply_to, router):
    with mitogen.core.Receiver(router) as receiver:
        reply_to.send(receiver.to_sender())
        for msg in receiver:
            reply_to.send(msg.unpickle() + 1)
    reply_to.close()
    return u"done"


@takes_econtext
def ping_pong(rounds, econtext):
    context = econtext.router.local()
    receiver = mitogen.core.Receiver(econtext.router)
    call = context.call_async(pong, receiver.to_sender())
    sender = receiver.get().unpickle()
    number = 0
    for _ in range(rounds):
        sender.send(number)
        number = receiver.get().unpickle()
    sender.close()
    return number, list(receiver), call.get().unpickle()


# Receivers, channels, latches.


def receivers(router):
    myself = router.myself()
    out = []
    receiver = mitogen.core.Receiver(router)
    out.append([receiver.empty(), receiver.size(), receiver.handle >= 1000])
    sender = receiver.to_sender()
    sender.send(u"x")
    sender.close()
    out.append(receiver.get(timeout=30).unpickle())
    try:
        receiver.get(timeout=30)
    except mitogen.core.ChannelError as exc:
        out.append([to_text(exc), to_text(mitogen.core.Sender.explicit_close_msg)])
    for kwargs in {"block": False}, {"timeout": 0.01}:
        try:
            receiver.get(**kwargs)
        except mitogen.core.TimeoutError:
            out.append(u"nothing")
    threading.Timer(0.05, receiver.close).start()
    try:
        receiver.get()
    except mitogen.core.ChannelError as exc:
        out.append(to_text(exc))
    receiver.close()
    out.append(list(receiver))
    left = mitogen.core.Receiver(router)
    channel = mitogen.core.Channel(router, myself, left.handle)
    channel.send(1)
    left.get().unpickle()
    myself.send(mitogen.core.Message.pickled(2, handle=channel.handle))
    out.append(channel.get().unpickle())
    channel.close()
    out.append([left.get(throw_dead=False).is_dead, channel.closed])
    return out
receivers.mitogen_takes_router = True


def latches():
    latch = mitogen.core.Latch()
    out = [latch.empty(), latch.size()]
    threads = [threading.Thread(target=latch.put, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    out.append(sorted(latch.get(30) for _ in threads) == list(range(20)))
    for kwargs in {"block": False}, {"timeout": 0.01}:
        try:
            latch.get(**kwargs)
        except mitogen.core.TimeoutError:
            out.append(u"nothing")
    threading.Timer(0.05, latch.close).start()
    for func in latch.get, latch.put, latch.empty, latch.size:
        try:
            func()
        except mitogen.core.LatchError:
            out.append(u"closed")
    return out


# Selects.


@takes_econtext
def selects(econtext):
    Select = mitogen.select.Select
    router = econtext.router
    contexts = [router.fork() for _ in range(3)]
    pids = sorted(context.call(where) for context in contexts)
    out = [sorted(Select.all(context.call_async(where) for context in contexts)) == pids]
    calls = [context.call_async(where) for context in contexts]
    found = []
    with Select(calls) as select:
        for msg in select:
            found.append((msg.receiver in calls, msg.unpickle() in pids))
        out.append([found, bool(select)])
    one, two, latch = mitogen.core.Receiver(router), mitogen.core.Receiver(router), mitogen.core.Latch()
    inner = Select([two], oneshot=False)
    select = Select([one, inner, latch], oneshot=False)
    one.to_sender().send(u"before")
    latch.put(u"latch")
    two.to_sender().send(u"inner")
    got = []
    while len(got) < 3:
        event = select.get_event(timeout=30)
        data = event.data
        got.append([
            [one, two, latch].index(event.source),
            data.unpickle() if isinstance(data, mitogen.core.Message) else data,
        ])
    out.append(sorted(got))
    errors = []
    for func, args in (
        (select.add, (one,)), (select.remove, (two,)), (inner.add, (select,)), (select.add, (select,)), (Select().get, ()),
    ):
        try:
            func(*args)
        except mitogen.select.Error as exc:
            errors.append(to_text(exc))
    expected = [Select.owned_msg, Select.not_present_msg, Select.loop_msg, Select.loop_msg, Select.empty_msg]
    out.append(errors == [to_text(text) for text in expected])
    try:
        select.get(block=False)
    except mitogen.core.TimeoutError:
        out.append(u"nothing")
    select.remove(one)
    one.to_sender().send(u"left")
    out.append([one.get().unpickle(), select.empty(), one.notify])
    select.close()
    try:
        select.ready.get()
    except mitogen.core.LatchError:
        out.append(u"closed")
    # Messages that have arrived before are found, also several of one source.
    three = mitogen.core.Receiver(router)
    for n in range(3):
        three.to_sender().send(n)
    mitogen.core.wait(lambda: three.size() == 3, 30)
    four = Select([three], oneshot=False)
    out.append([four.get().unpickle() for _ in range(3)])
    return out


# Names.


def names():
    core = mitogen.core
    rfd, wfd = os.pipe()
    out = [
        core.to_text(b"a") == u"a", core.to_text(7) == u"7", type(core.to_text(core.Secret(u"x"))).__name__,
        core.b("x") == b"x", sorted(core.iteritems({1: 2})), isinstance(2 ** 70, core.integer_types),
        list(core.str_partition(u"a.b.c", u".")), list(core.str_rpartition(u"a.b.c", u".")),
        list(core.bytes_partition(b"a.b", b".")) == [b"a", b".", b"b"],
        core.import_module("os.path") is os.path, core.io_op(os.write, wfd, b"x")[0],
    ]
    os.close(rfd)
    result, error = core.io_op(os.write, wfd, b"x")
    os.close(wfd)
    out.append([result, isinstance(error, OSError)])
    try:
        core.io_op(os.write, wfd, b"x")
    except OSError:
        out.append(u"raised")
    out.append([issubclass(each, core.StreamError) for each in (
        mitogen.parent.EofError, mitogen.ssh.PasswordError, mitogen.sudo.PasswordError,
    )])
    out.append([hasattr(core, "nothing"), hasattr(mitogen.parent, "nothing"), hasattr(core.router, "nothing")])
    out.append([isinstance(core.router, mitogen.parent.Router), mitogen.parent.Context is core.Context])
    out.append([mitogen.unix.is_path_dead("/nowhere/sock"), "in names" in mitogen.debug.format_stacks()])
    class Text(core.UnicodeType): pass
    class Dict(dict): pass
    cast = mitogen.utils.cast(Dict({Text(u"a"): (Text(u"b"), 1)}))
    out.append([cast == {u"a": [u"b", 1]}, type(cast) is dict, type(list(cast)[0]) is core.UnicodeType])
    try:
        mitogen.utils.cast(object())
    except TypeError as exc:
        out.append(to_text(exc)[:16])
    return out


@takes_econtext
def context_names(econtext):
    mitogen.parent.upgrade_router(econtext)
    econtext.broker.defer(len, ())
    return [
        econtext.context.context_id, econtext.channel.handle, econtext.stdout_log.dest_fd,
        econtext.stderr_log.dest_fd, econtext.router.broker is econtext.broker, econtext.importer is not None,
        econtext.parent.context_id, econtext.master.context_id, hasattr(econtext, "nothing"),
    ]


def io_logger():
    rfd, wfd = os.pipe()
    mitogen.core.IoLogger(mitogen.core.router.broker, u"mine", wfd)
    os.write(wfd, b"one\ntwo")
    os.close(wfd)
    os.close(rfd)


@takes_econtext
def signals(econtext):
    context = econtext.router.local()
    latch = mitogen.core.Latch()
    mitogen.core.listen(context, "disconnect", lambda: latch.put(u"lost"))
    context.shutdown()
    return latch.get(30)


@takes_econtext
def end(econtext):
    mitogen.core.listen(econtext.broker, "shutdown", lambda: mitogen.core.log(30, u"end", u"shut down"))
    econtext.broker.shutdown()

SOURCE = u"""#!/usr/bin/python
# coding: utf-8
'''The module
docstring.'''
import os  # a comment


def func(a, b='# no comment'):
    "doc"
    # Only a comment.
    if a:
        "a string"
        return (a,  # in brackets
                b)
    class Inner(object):
        '''doc''' # and a comment
    async_ = '''
    # kept'''
    return async_, __import__('sys')._getframe().f_lineno
"""


def minified():
    made = mitogen.minify.minimize_source(SOURCE)
    first, second = {}, {}
    exec(compile(SOURCE.encode("utf-8"), "x", "exec"), first)
    exec(compile(made.encode("utf-8"), "x", "exec"), second)
    return [
        first["func"](0) == second["func"](0), first["func"](1) == second["func"](1),
        made.count(u"\n") == SOURCE.count(u"\n"), u"comment\n" in made, u"doc" in made,
        made.startswith(u"#!/usr/bin/python\n# coding: utf-8\n"), u"'# no comment'" in made, u"# kept" in made,
        u"\n  return (a," in made, type(made) is type(SOURCE),
    ]
