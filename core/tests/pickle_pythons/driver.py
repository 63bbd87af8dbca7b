"""The Python side of the pickle tests; runs under Python 2.7 and 3.

Reads requests from stdin until it ends, each a u32be length and a pickle, and answers each with the
object's description and with the object pickled in every way that this interpreter has.

The description is a text that both sides make for themselves, without any pickling.
"""

import binascii
import io
import pickle
import struct
import sys
import types

PY3 = sys.version_info[0] >= 3
TEXT = str if PY3 else unicode  # noqa: F821
INTS = (int,) if PY3 else (int, long)  # noqa: F821


if PY3:
    Out = io.BytesIO
else:
    # Into other files cPickle writes by blocks, so that a failed pickle could end inside an operand.
    # Upstream peers use this one.
    from cStringIO import StringIO as Out


class Blob(bytes):
    def __reduce__(self):
        return Blob, (bytes(self),)


class Secret(TEXT):
    def __reduce__(self):
        return Secret, (TEXT(self),)


class Kwargs(dict):
    def __reduce__(self):
        return Kwargs, (dict(self),)


class CallError(Exception):
    def __reduce__(self):
        return _unpickle_call_error, (self.args[0],)


class Context(object):
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return _unpickle_context, self.args


class Sender(object):
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return _unpickle_sender, self.args


def _unpickle_call_error(text):
    if type(text) is not TEXT or len(text) > 9999:
        raise TypeError("bad call error")
    return CallError(text)


def _unpickle_context(number, name):
    # Upstream peers check at the exact type, so a `long` would be refused.
    if type(number) is not int or not (name is None or type(name) is TEXT):
        raise TypeError("bad context")
    return Context(number, name)


def _unpickle_sender(number, handle):
    if type(number) is not int or type(handle) is not int:
        raise TypeError("bad sender")
    return Sender(number, handle)


# Picklers look functions and classes up by module and name.
package = types.ModuleType("mitogen")
core = types.ModuleType("mitogen.core")
package.core = core
sys.modules["mitogen"] = package
sys.modules["mitogen.core"] = core
for item in (Blob, Secret, Kwargs, _unpickle_call_error, _unpickle_context, _unpickle_sender):
    item.__module__ = "mitogen.core"
    setattr(core, item.__name__, item)


def hexed(data):
    return binascii.hexlify(data).decode("ascii")


def text_hex(text):
    return hexed(text.encode("utf-8", "surrogatepass") if PY3 else text.encode("utf-8"))


def describe(it):
    if it is None:
        return "N"
    if it is True:
        return "T"
    if it is False:
        return "F"
    kind = type(it)
    if kind in INTS:
        return ("i-%x" if it < 0 else "i%x") % abs(it)
    if kind is float:
        return "f" + hexed(struct.pack(">d", it))
    if kind is TEXT:
        return "t" + text_hex(it)
    if kind in (bytes, bytearray):
        return "b" + hexed(bytes(it))
    if kind is list:
        return "[%s]" % ",".join([describe(x) for x in it])
    if kind is tuple:
        return "(%s)" % ",".join([describe(x) for x in it])
    if kind is dict:
        return "{%s}" % ",".join(sorted([describe(k) + ":" + describe(v) for k, v in it.items()]))
    if kind is Blob:
        return "B" + hexed(bytes(it))
    if kind is Secret:
        return "S" + text_hex(it)
    if kind is Kwargs:
        return "K" + describe(dict(it))
    if kind is CallError:
        return "E" + text_hex(it.args[0])
    if kind is Context:
        return "C" + describe(it.args)
    if kind is Sender:
        return "P" + describe(it.args)
    raise TypeError("unexpected %r" % (kind,))


class Unpicklable(object):
    def __reduce__(self):
        raise ValueError("cannot be pickled")


def picklers():
    """Yields (name, class) of all pickler implementations."""
    yield "pickle", pickle.Pickler
    if PY3:
        yield "python", pickle._Pickler
    else:
        import cPickle

        yield "cPickle", cPickle.Pickler


def pickled(it, small):
    """Yields (how, pickles) for all ways of pickling."""
    for name, pickler in picklers():
        slow = name == "python" or (name == "pickle" and not PY3)
        if slow and not small:
            continue
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            if protocol < 2 and not small:
                continue
            out = Out()
            pickler(out, protocol).dump(it)
            yield "%s/%d" % (name, protocol), out.getvalue()
            if protocol != 2:
                continue
            # One pickler for several pickles: later ones refer to the first one's objects.
            out = Out()
            one = pickler(out, protocol)
            one.dump(it)
            one.dump(it)
            yield "%s/twice" % name, out.getvalue()
            # A failed pickle's beginning stays in front of the good one.
            out = Out()
            try:
                pickler(out, protocol).dump([1, {TEXT("k"): (2,)}, it, Unpicklable()])
            except ValueError:
                pass
            pickler(out, protocol).dump(it)
            yield "%s/prefix" % name, out.getvalue()


def main():
    stdin = sys.stdin.buffer if PY3 else sys.stdin
    stdout = sys.stdout.buffer if PY3 else sys.stdout

    def send(data):
        stdout.write(struct.pack(">I", len(data)))
        stdout.write(data)

    if sys.version_info[:2] >= (3, 11):
        sys.set_int_max_str_digits(0)
    while True:
        head = stdin.read(4)
        if not head:
            break
        data = stdin.read(*struct.unpack(">I", head))
        if PY3:
            it = pickle.loads(data, encoding="bytes")
        else:
            import cPickle

            it = cPickle.loads(data)
        send(describe(it).encode("ascii"))
        answers = list(pickled(it, len(data) < 100000))
        if len(data) < 10000:
            # The other implementation must read our bytes as well.
            file = io.BytesIO(data)
            other = pickle._Unpickler(file, encoding="bytes") if PY3 else pickle.Unpickler(file)
            if describe(other.load()) != describe(it):
                raise AssertionError("two unpicklers of one Python disagree about %r" % data)
        stdout.write(struct.pack(">I", len(answers)))
        for how, answer in answers:
            send(how.encode("ascii"))
            send(answer)
        stdout.flush()


main()
