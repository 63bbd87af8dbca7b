"""Detaching: the context outlives its parent. Sent for `Context::detach` (core/src/connect/detach.rs).

The master calls `prepare`, which tells the parent not to end this process when its link ends, and
returns a handle. A message to that handle is the last one, and closes the link. Calls that were received
before it are completed. Then this process waits for its threads, as any Python program does, and exits.
A function that is already running can call `detach` for the same effect.
"""
import os
import signal
import sys

import mitogen.core as core

core.lazy()
lost = core.lost
DETACHING = 109


def prepare():
    """Leave the parent's session and supervision. Returns the handle that closes the link."""
    try:
        os.setsid()
    except OSError:
        # This process is a group leader already, as every context that a parent.py has started.
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
        raise core.StreamError("the parent refused to detach this context: %s", (
            core.as_text(answers[0].data) if answers else "no answer"
        ))
    # From now on the end of the link, from whichever side, does not end this process.
    core.lost = on_lost
    return core.router.add_handler(leave, persist=False, policy=core.has_parent_authority)


def on_lost(stream):
    if stream is core.parent:
        leave()
    else:
        lost(stream)


def leave(msg=None):
    """Close the link after the queue was written. Runs on the loop."""
    parent = core.parent
    if parent.rfd is None:
        return
    # Closing it is not enough: sudo, or ssh on the other side, keeps it open as long as this process runs.
    core.send(core.parent_ids[0], core.DEL_ROUTE, str(core.context_id).encode())
    deadline = core.clock() + 2
    parent.flush()
    while (parent.out or parent.tail) and not parent.gone and core.clock() < deadline:
        core.loop.pump(0.1)
    parent.gone = True
    fds = parent.rfd, parent.wfd
    # A thread that is writing finishes first; none begins another write.
    parent.lock.acquire()
    parent.rfd = parent.wfd = None
    del parent.out[:]
    parent.tail = b""
    parent.lock.release()
    for fd in fds:
        core.loop.remove(fd)
        os.close(fd)
    # After all calls that were received. The reply is dropped.
    core.calls.append((core.context_id, 0, core.pack(core.PKL, 0, 0, 0, core.CALL_FUNCTION, 0, 0) + b"".join(
        core.dumps((None, u"mitogen.detach", None, u"finish", (), {}))
    )))


def finish():
    """Exit as a Python program does. Runs on the main thread after the last call."""
    threading = sys.modules.get("threading")
    if threading:
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
    core.loop.later.append(core.stop)


def detach():
    """Close the link now. The calling function goes on; its result is dropped."""
    prepare()
    core.loop.defer(leave)
