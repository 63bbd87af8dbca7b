"""Living on without a parent. Sent when `Context::detach` (core/src/connect/detach.rs) asks for it.

`prepare` is called, and tells the parent not to end us when our link does. What it gives is a handle;
a message there says that nothing more will come, and cuts the link. The calls that came before it are
run to their end. Then this process waits for its threads, as any Python program does, and ends. A
function that is already running, and wants the same, calls `detach`.
"""
import os
import signal
import sys

import mitogen.core as core

core.more()
lost = core.lost
DETACHING = 109


def prepare():
    """Become independent of the parent's session and care; gives the handle that cuts the link."""
    try:
        os.setsid()
    except OSError:
        # It leads its group already, as all do that were started by one of us.
        pass
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    answers = []

    def answer(msg):
        answers.append(msg)
        core.notify()
    handle = core.router.add_handler(answer, persist=False, respondent=core.router.parent)
    core.router.route(core.Message(core.parent_ids[0], DETACHING, b"", handle, core.MGC))
    core.wait(lambda: answers, 30)
    if not answers or answers[0].is_dead:
        core.router.del_handler(handle)
        raise core.StreamError("the parent does not let go: %s", (
            core.as_text(answers[0].data) if answers else "no answer"
        ))
    # From here on the end of the link, whoever cuts it, is not ours.
    core.lost = on_lost
    return core.router.add_handler(leave, persist=False, policy=core.has_parent_authority)


def on_lost(stream):
    if stream is core.parent:
        leave()
    else:
        lost(stream)


def leave(msg=None):
    """Cut the link, on the loop, when what is queued has been written."""
    parent = core.parent
    if parent.rfd is None:
        return
    # Closing it is not enough where sudo, or ssh at the other end, holds it open as long as we live.
    core.send(core.parent_ids[0], core.DEL_ROUTE, str(core.context_id).encode())
    deadline = core.clock() + 2
    parent.flush()
    while (parent.out or parent.tail) and not parent.gone and core.clock() < deadline:
        core.loop.pump(0.1)
    parent.gone = True
    fds = parent.rfd, parent.wfd
    # Whoever is in the middle of a write finishes it first; nobody begins another.
    parent.lock.acquire()
    parent.rfd = parent.wfd = None
    del parent.out[:]
    parent.tail = b""
    parent.lock.release()
    for fd in fds:
        core.loop.remove(fd)
        os.close(fd)
    # Behind all that has come. Nobody reads its reply.
    core.calls.append((core.context_id, 0, core.pack(core.PKL, 0, 0, 0, core.CALL_FUNCTION, 0, 0) + b"".join(
        core.dumps((None, u"mitogen.detach", None, u"finish", (), {}))
    )))


def finish():
    """On the main thread, after the last call: end as a program does."""
    threading = sys.modules.get("threading")
    if threading:
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
    core.loop.later.append(core.stop)


def detach():
    """Cut the link now. The function that has called this goes on; its result goes to nobody."""
    prepare()
    core.loop.defer(leave)
