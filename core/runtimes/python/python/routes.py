"""Being on the way: routes to the contexts below, frames between neighbours, modules for children.

Part of `mitogen.parent`, which starts those contexts; a plain child knows only its parent. Runs on
the loop.
"""
import os
import struct

import mitogen.core as core
from mitogen.process import at

children = set()

# Why contexts did not start, by their ids.
reasons = {}

# A handle at which nobody listens: who asks there learns that somebody is at home.
PROBE = 122

# One payload for several destinations: how many, each one's context and handle, and the bytes.
MULTICAST = 125

# Bytes that may wait for one neighbour before we stop reading from those who send them.
LIMIT = 4 << 20

# By the neighbour that is waited for: those who wait.
held = {}

GET_RESOURCE = 112
LOAD_RESOURCE = 113


# That of a link whose frames are all for us.
queue_data = core.Stream.on_data


def on_data(stream, buf):
    """What comes most often goes the short way: one whole frame, for somebody else."""
    if len(buf) >= 26:
        enc, dst, src, auth, _, _, size = core.unpack(buf)
        if size + 26 == len(buf) <= 65536 and 0x4D49 <= enc <= 0x4D4B and not stream.frames:
            routes, parent = core.routes, core.parent
            out = routes.get(dst)
            if stream is not parent:
                out = out or parent
            if (
                out is not None and dst != core.context_id and not core.config["unidirectional"]
                and routes.get(auth, parent) is stream
                and (src == auth or routes.get(src, parent) is stream)
            ):
                stream.buf = b""
                if stream is not parent:
                    stream.egress.add(dst)
                return relay(stream, out, buf)
    queue_data(stream, buf)


def on_frame(stream, enc, dst, src, auth, handle, reply_to, frame):
    """Replaces that of a router without children."""
    # The neighbour must be where its message claims to come from, and so must the authority.
    if (
        core.routes.get(auth, core.parent) is not stream
        or src != auth and core.routes.get(src, core.parent) is not stream
    ):
        return core.log(
            40, "mitogen", u"dropped a message with forged src %d or auth %d from %r" % (
                src, auth, stream.remote_id
            )
        )
    if stream is not core.parent:
        stream.egress.add(dst)
    if dst == core.context_id:
        return core.router.deliver(
            core.router.message(enc, dst, src, auth, handle, reply_to, frame), stream
        )
    out = core.routes.get(dst)
    if out is None and stream is not core.parent:
        out = core.parent
    if out is not None and not (
        core.config.get("unidirectional") and stream is not core.parent and out is not core.parent
    ):
        return relay(stream, out, frame)
    msg = core.router.message(enc, dst, src, auth, handle, reply_to, frame)
    if out is None:
        return core.router.no_route(msg)
    core.router.refuse(msg, (
        u"routing mode prevents forward of message from context %d to context %d via context %d"
        % (src, dst, core.context_id)
    ))


# Back-pressure


def relay(source, out, frame):
    """Pass a frame on; who sends faster than its destination takes has to wait."""
    written = False
    if out.up and not (out.gone or out.out or out.legacy) and out.lock.acquire(False):
        # Nothing waits, as nearly always. Whatever goes wrong here goes wrong below, too, and is seen to.
        try:
            if not out.tail:
                size = os.write(out.wfd, frame)
                written = True
                if size < len(frame):
                    out.tail = memoryview(frame)[size:]
        except EnvironmentError:
            pass
        finally:
            out.lock.release()
    if not written:
        out.send([frame])
    elif out.out or out.tail:
        # The rest, or what another thread has left to whoever had the lock.
        out.flush()
    if not out.out and not out.tail:
        out.relayed = 0
        return
    # An upper bound, so that the queue is added up now and then only.
    out.relayed += len(frame)
    if out.relayed > LIMIT and out.up and not source.gone:
        size = queued(out)
        out.relayed = min(size, LIMIT // 2)
        if size > LIMIT:
            held.setdefault(out, set()).add(source)
            # Without interest in data the poller still tells of its end.
            core.loop.add(source.rfd, source.on_receive, 0)
            if source is core.parent and not beating:
                beat()
            core.loop.blocked(out)


def on_multicast(msg):
    """Pass one payload on, once for each link behind which there is somebody who is to get it.

    Whom it is for gets a plain message of the same source and authority, and judges that as any
    other. Only those above us may ask for it, and it goes down only.
    """
    if msg.is_dead:
        return
    count = struct.unpack_from(">L", msg.data)[0]
    start = 4 + 8 * count
    if len(msg.data) < start:
        return core.log(40, "mitogen", u"a multicast of %d bytes for %d" % (len(msg.data), count))
    data = msg.data[start:]
    ways = {}
    for at in range(4, start, 8):
        dst, handle = struct.unpack_from(">LL", msg.data, at)
        if dst == core.context_id:
            core.router.deliver(core.Message(
                dst, handle, data, 0, msg.enc, msg.src_id, msg.auth_id
            ), core.parent)
        elif dst in core.routes:
            ways.setdefault(core.routes[dst], []).append((dst, handle))
    for out, targets in ways.items():
        dst, handle = targets[0]
        head = b""
        if len(targets) > 1:
            head = struct.pack(">L", len(targets)) + b"".join([struct.pack(">LL", *to) for to in targets])
            dst, handle = out.remote_id, MULTICAST
        size = len(head) + len(data)
        header = core.pack(msg.enc, dst, msg.src_id, msg.auth_id, handle, 0, size)
        relay(sender_of(msg), out, b"".join((header, head, data)))


beating = []


def waits(stream):
    """Whether `stream` is not read because somebody else takes too little."""
    return any(stream in waiting for waiting in held.values())


def beat():
    """We do not read the parent's question whether we are there: say so unasked."""
    del beating[:]
    if waits(core.parent):
        core.send(core.parent_ids[0], PROBE, b"")
        beating.append(at(1, beat))


def queued(out):
    return sum(map(len, list(out.out))) + len(out.tail)


def blocked(stream):
    """Replaces that of a loop without relays: who waits for `stream` may go on in time."""
    def ready(events=None):
        core.loop.remove(stream.wfd)
        stream.flush()
        relieve(stream)
    core.loop.defer(lambda: stream.gone or core.loop.add(stream.wfd, ready, 4))


def relieve(out):
    if out not in held:
        return
    if not out.gone and queued(out) > LIMIT // 2:
        # Another thread may be writing, without ever being told to wait: look again.
        return blocked(out)
    for source in held.pop(out):
        if not source.gone and not waits(source):
            core.loop.add(source.rfd, source.on_receive)


# Routes


def note_reason(lost, reason):
    """Remember why a context did not start, for messages to it that are still on their way here."""
    if len(reasons) >= 1000:
        reasons.clear()
    reasons[lost] = reason


def no_route(msg):
    """Replaces that of a router without children."""
    core.router.refuse(msg, reasons.get(msg.dst_id) or (
        u"no route to %d, my ID is %d" % (msg.dst_id, core.context_id)
    ))


def forget(lost, upward, payload=None):
    """A context is gone: tell the parent, and those of our children that have ever written to it."""
    plain = str(lost).encode()
    if upward:
        core.send(core.parent_ids[0], core.DEL_ROUTE, payload or plain)
    payload = plain
    for stream in list(children):
        if stream.up and not stream.gone and lost in stream.egress:
            # Ids are never used again.
            stream.egress.discard(lost)
            core.send(stream.remote_id, core.DEL_ROUTE, payload)
    core.router.forget(lost)


def sender_of(msg):
    return core.routes.get(msg.src_id, core.parent)


def on_add_route(msg):
    if msg.is_dead:
        return
    stream = sender_of(msg)
    number = int(msg.data.split(b":")[0])
    if stream is core.parent:
        return
    if number == core.context_id or number in core.parent_ids:
        # Believed, it would give the child our own authority, or that of those above us.
        return core.log(40, "mitogen.route_monitor", u"forged route to %d" % number)
    if core.routes.get(number, stream) is not stream:
        return core.log(40, "mitogen.route_monitor", u"duplicate route to %d" % number)
    core.routes[number] = stream
    core.send(core.parent_ids[0], core.ADD_ROUTE, msg.data)


def on_del_route(msg):
    if msg.is_dead:
        return
    stream = sender_of(msg)
    number, _, reason = msg.data.partition(b":")
    number = int(number)
    if number == stream.remote_id and stream is not core.parent:
        # The last that it says. It cannot end the link by closing it where a tool between us holds
        # the descriptors, too (mitogen.detach).
        stream.on_disconnect()
    elif core.routes.get(number, core.parent) is stream:
        if stream is not core.parent:
            del core.routes[number]
        if reason:
            note_reason(number, reason.decode("utf-8", "replace"))
        forget(number, stream is not core.parent, msg.data)
    elif stream is core.parent and number != core.routes[number].remote_id:
        # One of our children has claimed an id that is somebody else's, or nobody's yet.
        claimed = core.routes.pop(number)
        core.send(claimed.remote_id, core.DEL_ROUTE, msg.data)


# Modules and resources

# By module: the neighbours that it is on its way to.
wanted = {}

# Questions for resources from before we had the module that knows about them.
questions = []


def give(stream, name):
    """Send a module that we have, and before it what it goes with. A neighbour gets each once."""
    cache = core.importer.cache
    order = []
    todo = [name]
    while todo:
        each = todo.pop()
        if each in cache and each not in stream.sent:
            stream.sent.add(each)
            order.append(each)
            todo.extend(cache[each][2])
    for each in reversed(order):
        core.send(stream.remote_id, core.LOAD_MODULE, cache[each][3], core.PKL)


def want(stream, name):
    """Send a module once we have it."""
    if name in core.importer.cache:
        give(stream, name)
    elif name not in stream.sent:
        wanted.setdefault(name, set()).add(stream)
        core.importer.ask(name)


def on_get_module(msg):
    if not msg.is_dead:
        stream = sender_of(msg)
        name = core.as_text(msg.data) if core.PY3 else str(msg.data)
        if stream.foreign and name.split(".")[0] == "mitogen":
            # What it means by that name is not what we mean: the master knows.
            msg.dst_id = core.parent_ids[-1]
            core.router.route(msg)
        else:
            want(stream, name)


def on_forward_module(msg):
    if msg.is_dead:
        return
    target, _, name = msg.data.decode("utf-8").partition(u"\0")
    stream = core.routes.get(int(target))
    if stream is None:
        return
    want(stream, name if core.PY3 else str(name))
    # Whether or not that neighbour has it: those behind it may not.
    if stream.remote_id != int(target):
        core.send(stream.remote_id, core.FORWARD_MODULE, msg.data)


def on_get_resource(msg):
    if msg.is_dead:
        return
    # Without waiting, because the next question may come in meanwhile.
    questions.append(msg)
    core.importer.ask("mitogen.resources")
    on_load("mitogen.resources")


def on_load(name):
    if name not in core.importer.cache:
        return
    for stream in wanted.pop(name, ()):
        if not stream.gone:
            give(stream, name)
    if name == "mitogen.resources":
        while questions:
            msg = questions.pop(0)
            try:
                __import__(name)
            except ImportError:
                core.log_exception("mitogen")
                # The question, and that there is nothing: an answer.
                core.send(msg.src_id, LOAD_RESOURCE, msg.data + core.NONE, core.PKL)
            else:
                core.modules[name].on_get_resource(msg, sender_of(msg))


core.parent.relayed = 0
core.parent.up = True
core.Stream.legacy = core.Stream.foreign = None
core.router.on_frame = on_frame
core.router.no_route = no_route
core.Stream.on_data = on_data
core.loop.blocked = blocked
for _handle, _func, _policy in (
    (core.GET_MODULE, on_get_module, core.is_immediate_peer),
    (GET_RESOURCE, on_get_resource, core.is_immediate_peer),
    (core.ADD_ROUTE, on_add_route, core.is_immediate_peer),
    (core.DEL_ROUTE, on_del_route, core.is_immediate_peer),
    (core.FORWARD_MODULE, on_forward_module, core.has_parent_authority),
    (MULTICAST, on_multicast, core.has_parent_authority),
):
    core.router.add_handler(_func, _handle, True, _policy, overwrite=True)
core.importer.on_load.append(on_load)
