"""`mitogen.debug`: what the threads of this context do."""
import signal
import sys
import threading
import time
import traceback

import mitogen.core as core


def format_stacks():
    """The stacks of all threads as text."""
    names = dict((thread.ident, thread.name) for thread in threading.enumerate())
    parts = []
    for ident, frame in sorted(sys._current_frames().items()):
        parts.append("Thread %s (%s)\n%s" % (
            ident, names.get(ident, "?"), "".join(traceback.format_stack(frame))
        ))
    return "\n".join(parts)


def get_routers():
    """The router of this context, by its address."""
    return {"%x" % id(core.router): core.router}


def get_snapshot():
    """Stacks, handles and links of this context as text."""
    return "context %d, handles %s, links %s\n%s" % (
        core.context_id, sorted(core.router.handlers), sorted(set(
            stream.remote_id for stream in list(core.routes.values()) + [core.parent]
        )), format_stacks()
    )


def dump_to_logger(secs=5):
    """Log a snapshot every `secs` seconds."""
    def run():
        while True:
            time.sleep(secs)
            core.log(20, "mitogen.debug", get_snapshot())
    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()


def install_handler():
    """Log a snapshot on SIGUSR2."""
    signal.signal(signal.SIGUSR2, lambda *_: core.log(20, "mitogen.debug", get_snapshot()))
