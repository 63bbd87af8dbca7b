"""Routing for a context with children: routes, forwarding with back-pressure, modules for children.

Used by `mitogen.parent`, which starts the children. Runs on the loop.
"""
import os
import struct

import mitogen.core as core
from mitogen.process import at

children = set()

# Why contexts did not start, by their ids.
reasons = {}

# The handle of keep-alive probes. It has no handler, so every probe gets an error as its reply.
PROBE = 122

# The handle of multicasts: a count, context and handle of each destination, and the payload.
MULTICAST = 125

# The number of bytes queued for one link above which its sources are not read.
LIMIT = 4 << 20

# By destination link: the source links that are not read until it has room.
paused = {}

GET_RESOURCE = 112
LOAD_RESOURCE = 113


# The method of a context without children.
queue_data = core.Stream.on_data


def on_data(stream, buf):
    """The fast path for the most frequent case: one complete frame to forward."""
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
    """Replaces `Router.on_frame`."""
    # Both the source and the authority must be behind the link.
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
    """Forward a frame. If too much is queued for `out`, stop reading `source`."""
    written = False
    if out.up and not (out.gone or out.out or out.legacy) and out.lock.acquire(False):
        # The queue is empty, as nearly always. An error happens again in `send`, which handles it.
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
        # The rest, or frames that another thread queued while the lock was taken.
        out.flush()
    if not out.out and not out.tail:
        out.relayed = 0
        return
    # An upper bound, so that the queue is only summed up now and then.
    out.relayed += len(frame)
    if out.relayed > LIMIT and out.up and not source.gone:
        size = queued(out)
        out.relayed = min(size, LIMIT // 2)
        if size > LIMIT:
            paused.setdefault(out, set()).add(source)
            # The poller still reports the end of the link.
            core.loop.add(source.rfd, source.on_receive, 0)
            if source is core.parent and not keepalive_timer:
                send_keepalive()
            core.loop.blocked(out)


def on_multicast(msg):
    """Forward one payload to many contexts, once over each link.

    Each destination gets an ordinary message of the same source and authority, and applies its own
    policies. Only parents may send multicasts, and only to descendants.
    """
    if msg.is_dead:
        return
    count = struct.unpack_from(">L", msg.data)[0]
    start = 4 + 8 * count
    if len(msg.data) < start:
        return core.log(40, "mitogen", u"malformed multicast: %d bytes for %d destinations" % (len(msg.data), count))
    data = msg.data[start:]
    by_link = {}
    for at in range(4, start, 8):
        dst, handle = struct.unpack_from(">LL", msg.data, at)
        if dst == core.context_id:
            core.router.deliver(core.Message(
                dst, handle, data, 0, msg.enc, msg.src_id, msg.auth_id
            ), core.parent)
        elif dst in core.routes:
            by_link.setdefault(core.routes[dst], []).append((dst, handle))
    for out, targets in by_link.items():
        dst, handle = targets[0]
        head = b""
        if len(targets) > 1:
            head = struct.pack(">L", len(targets)) + b"".join([struct.pack(">LL", *to) for to in targets])
            dst, handle = out.remote_id, MULTICAST
        size = len(head) + len(data)
        header = core.pack(msg.enc, dst, msg.src_id, msg.auth_id, handle, 0, size)
        relay(sender_of(msg), out, b"".join((header, head, data)))


keepalive_timer = []


def is_paused(stream):
    """Whether `stream` is not read because a destination has too much queued."""
    return any(stream in waiting for waiting in paused.values())


def send_keepalive():
    """While the link to the parent is not read, send traffic unasked, because probes are not answered."""
    del keepalive_timer[:]
    if is_paused(core.parent):
        core.send(core.parent_ids[0], PROBE, b"")
        keepalive_timer.append(at(1, send_keepalive))


def queued(out):
    return sum(map(len, list(out.out))) + len(out.tail)


def blocked(stream):
    """Replaces `Loop.blocked`: also resumes the sources of `stream` in time."""
    def ready(events=None):
        core.loop.remove(stream.wfd)
        stream.flush()
        resume_sources(stream)
    core.loop.defer(lambda: stream.gone or core.loop.add(stream.wfd, ready, 4))


def resume_sources(out):
    if out not in paused:
        return
    if not out.gone and queued(out) > LIMIT // 2:
        # Another thread may write without being blocked itself: check again.
        return blocked(out)
    for source in paused.pop(out):
        if not source.gone and not is_paused(source):
            core.loop.add(source.rfd, source.on_receive)


# Routes


def note_reason(lost, reason):
    """Store why a context did not start, for messages to it that arrive later."""
    if len(reasons) >= 1000:
        reasons.clear()
    reasons[lost] = reason


def no_route(msg):
    """Replaces `Router.no_route`."""
    core.router.refuse(msg, reasons.get(msg.dst_id) or (
        u"no route to %d, my ID is %d" % (msg.dst_id, core.context_id)
    ))


def forget_context(lost, upward, payload=None):
    """A context is gone: notify the parent, and the children that have sent messages to it."""
    plain = str(lost).encode()
    if upward:
        core.send(core.parent_ids[0], core.DEL_ROUTE, payload or plain)
    payload = plain
    for stream in list(children):
        if stream.up and not stream.gone and lost in stream.egress:
            # Ids are never reused.
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
        # Such a route would send_module the child the authority of this context or of a parent.
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
        # Its last message. It cannot end the link by closing it if a program such as sudo holds the
        # descriptors too (mitogen.detach).
        stream.on_disconnect()
    elif core.routes.get(number, core.parent) is stream:
        if stream is not core.parent:
            del core.routes[number]
        if reason:
            note_reason(number, reason.decode("utf-8", "replace"))
        forget_context(number, stream is not core.parent, msg.data)
    elif stream is core.parent and number != core.routes[number].remote_id:
        # A child has claimed an id that belongs to another context, or to none yet.
        claimed = core.routes.pop(number)
        core.send(claimed.remote_id, core.DEL_ROUTE, msg.data)


# Modules and resources

# By module: the links that wait for it.
module_waiters = {}

# Requests for resources that arrived before mitogen.resources was loaded.
resource_requests = []


def send_module(stream, name):
    """Send a cached module, and before it its related modules. Each is sent once over a link."""
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


def request_module(stream, name):
    """Send a module as soon as it is cached."""
    if name in core.importer.cache:
        send_module(stream, name)
    elif name not in stream.sent:
        module_waiters.setdefault(name, set()).add(stream)
        core.importer.request(name)


def on_get_module(msg):
    if not msg.is_dead:
        stream = sender_of(msg)
        name = core.as_text(msg.data) if core.PY3 else str(msg.data)
        if stream.foreign and name.split(".")[0] == "mitogen":
            # Another runtime has other modules of these names: the master replies.
            msg.dst_id = core.parent_ids[-1]
            core.router.route(msg)
        else:
            request_module(stream, name)


def on_forward_module(msg):
    if msg.is_dead:
        return
    target, _, name = msg.data.decode("utf-8").partition(u"\0")
    stream = core.routes.get(int(target))
    if stream is None:
        return
    request_module(stream, name if core.PY3 else str(name))
    # Even if that neighbour has the module, contexts behind it may not.
    if stream.remote_id != int(target):
        core.send(stream.remote_id, core.FORWARD_MODULE, msg.data)


def on_get_resource(msg):
    if msg.is_dead:
        return
    # Does not wait, because further requests may arrive meanwhile.
    resource_requests.append(msg)
    core.importer.request("mitogen.resources")
    on_load("mitogen.resources")


def on_load(name):
    if name not in core.importer.cache:
        return
    for stream in module_waiters.pop(name, ()):
        if not stream.gone:
            send_module(stream, name)
    if name == "mitogen.resources":
        while resource_requests:
            msg = resource_requests.pop(0)
            try:
                __import__(name)
            except ImportError:
                core.log_exception("mitogen")
                # The reply is the request, followed by None: no such resource.
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
