"""Measures upstream Mitogen (from PyPI). Prints one line of JSON for each figure: {"name": NAME, "value": NUMBER}.

usage: measure.py GROUP...     groups: local, hops, tree, ssh, files, link100, minify

`cargo xtask compare` runs this program and `measure_rust`, which prints the same names. This text defines the names
for both.

local: children on this machine, started with the interpreter MEASURE_PYTHON
  local.connect_ms        connect and one call into it, mean of several
  local.call_us           one call of an empty function including its reply, in sequence
  local.pipelined_per_s   the same calls sent without waiting, until all replies have arrived
  local.bulk16_mib_s      a call with 16 MiB of bytes that returns their length
  local.echo16_mib_s      a call with 16 MiB of bytes that returns them, MiB in each direction
  local.fanout30_per_s    one call to each of 30 children concurrently, repeated
  local.fork_call_ms      a child forks itself, and one call into the fork
  local.start_bytes       bytes that start a child: its arguments, and what is written to it before it is connected

hops: a chain of five children on this machine, each started by the previous one
  hops.call1_us ... hops.call5_us   as local.call_us, for the first ... the fifth child
  hops.further_us         the time that each hop after the first adds: (call5 - call1) / 4

tree: children of a process that listens on a unix socket. A second process (in Rust: MEASURE_MITOGEN) connects to the
socket, runs the program `true` in each child and waits for it. The time is that of the second process; the first run
is not counted.
  tree.connect30_ms       connect 30 children, at most 16 at a time, and one call into each
  tree.run1_ms            the second process with one child
  tree.run30_ms           the second process with all 30 children

ssh: MEASURE_SSH_HOST, _PORT, _USER, _KEY, _KNOWN_HOSTS name a server; no compression
  ssh.connect_ms          connect
  ssh.first_call_ms       the first call after that, of a function whose module comes from the master
  ssh.call_us             after that, as local.call_us
  ssh.contexts40_s        40 connections, at most 16 at a time
  ssh.master_cpu_ms       CPU time of the master for each of these connections, without its ssh children

files: copies a file of 64 MiB to a child. Upstream's FileService has no checksum; the Rust side verifies a SHA-256.
  files.local64_mib_s     to a child on this machine
  files.ssh64_mib_s       to a child on the server, over an existing connection
  files.ssh_cat_mib_s     plain `ssh HOST 'cat >FILE'`, less its time for an empty file (a reference value)

link100: the same server through MEASURE_LINK_PORT, a link with a round trip time of 100 ms
  link100.ssh_true_ms     plain `ssh HOST true` (a reference value)
  link100.ssh_sudo_call_ms  connect, sudo on that host, and the first call, of a function whose module comes from the
                            master
  link100.builtin_call_ms   a call of os.getpid in a context on that host
  link100.package50_call_ms the first call into a package of 50 modules that comes from the master

minify: the sources of the standard library of MEASURE_PYTHON without tests, read before the measurement
  minify.library_ms       minimize all of them on one processor
  minify.all_cores_ms     the same on all processors, if the implementation supports it
  minify.library_kib      size of the results; a source that fails counts with its original size
  minify.failures         sources that fail
"""
import concurrent.futures
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tokenize

import mitogen
import mitogen.core
import mitogen.minify
import mitogen.parent
import mitogen.service
import mitogen.utils

clock = time.perf_counter
MIB = 1 << 20


def empty():
    return None


def count(data):
    return len(data)


def echo(data):
    return data


def report(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)


def seconds_each(times, work):
    """Mean time of `work`, which runs once before that to warm up."""
    work()
    start = clock()
    for _ in range(times):
        work()
    return (clock() - start) / times


def own_cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def python():
    return os.environ["MEASURE_PYTHON"]


def start_bytes(router):
    """What one connection passes to its child, recorded where the library creates it."""
    seen = []
    kind = mitogen.parent.Connection
    boot_command, preamble = kind.get_boot_command, kind.get_preamble

    def record_command(self):
        argv = boot_command(self)
        # Each argument ends with a zero byte.
        seen.append(sum(len(word.encode()) + 1 for word in argv) + len(preamble(self)))
        return argv

    kind.get_boot_command = record_command
    try:
        router.local(python_path=python()).shutdown(wait=True)
    finally:
        kind.get_boot_command = boot_command
    return seen[0]


def local(router):
    def life():
        context = router.local(python_path=python())
        context.call(os.getpid)
        living.append(context)

    living = []
    report("local.connect_ms", seconds_each(10, life) * 1e3)
    for context in living:
        context.shutdown(wait=True)

    context = router.local(python_path=python())
    report("local.call_us", seconds_each(2000, lambda: context.call(empty)) * 1e6)

    start = clock()
    for receiver in [context.call_async(empty) for _ in range(2000)]:
        receiver.get().unpickle()
    report("local.pipelined_per_s", 2000 / (clock() - start))

    data = mitogen.core.Blob(os.urandom(16 * MIB))
    report("local.bulk16_mib_s", 16 / seconds_each(3, lambda: context.call(count, data)))
    report("local.echo16_mib_s", 16 / seconds_each(3, lambda: context.call(echo, data)))

    contexts = [router.local(python_path=python()) for _ in range(30)]

    def fan_out():
        for receiver in [context.call_async(empty) for context in contexts]:
            receiver.get().unpickle()

    report("local.fanout30_per_s", 30 / seconds_each(20, fan_out))
    report("local.start_bytes", start_bytes(router))

    def fork():
        copy = router.fork(via=context)
        copy.call(os.getpid)
        living.append(copy)

    del living[:]
    report("local.fork_call_ms", seconds_each(20, fork) * 1e3)
    for copy in living:
        copy.shutdown(wait=True)


def hops(router):
    contexts, spent = [], []
    for _ in range(5):
        via = {"via": contexts[-1]} if contexts else {}
        contexts.append(router.local(python_path=python(), **via))
    for at, context in enumerate(contexts, 1):
        spent.append(seconds_each(1000, lambda: context.call(empty)) * 1e6)
        report("hops.call%d_us" % at, spent[-1])
    report("hops.further_us", (spent[4] - spent[0]) / 4)


JOIN = """
import subprocess, sys
import mitogen.parent, mitogen.unix
router = mitogen.unix.connect(sys.argv[1])[0]
try:
    contexts = [mitogen.parent.Context(router, int(number)) for number in sys.argv[2:]]
    for receiver in [context.call_async(subprocess.call, ["true", "true"]) for context in contexts]:
        assert receiver.get().unpickle() == 0
finally:
    router.broker.shutdown()
    router.broker.join()
"""


def tree(router):
    # Imported here, because children that import this program must not request it.
    import mitogen.unix
    start = clock()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        contexts = list(pool.map(lambda _: router.local(python_path=python()), range(30)))
    for receiver in [context.call_async(os.getpid) for context in contexts]:
        receiver.get().unpickle()
    report("tree.connect30_ms", (clock() - start) * 1e3)
    directory = tempfile.mkdtemp()
    try:
        path = os.path.join(directory, "socket")
        mitogen.unix.Listener.build_stream(router=router, path=path)
        for count in 1, 30:
            numbers = [str(context.context_id) for context in contexts[:count]]
            command = [sys.executable, "-B", "-c", JOIN, path] + numbers
            report("tree.run%d_ms" % count, seconds_each(10, lambda: subprocess.check_call(command)) * 1e3)
    finally:
        shutil.rmtree(directory)


def ssh_options(port):
    return {
        "hostname": os.environ["MEASURE_SSH_HOST"],
        "port": int(port),
        "username": os.environ["MEASURE_SSH_USER"],
        "identity_file": os.environ["MEASURE_SSH_KEY"],
        "check_host_keys": "ignore",
        "compression": False,
        "python_path": python(),
        "connect_timeout": 60,
    }


def ssh(router):
    options = ssh_options(os.environ["MEASURE_SSH_PORT"])
    start = clock()
    context = router.ssh(**options)
    report("ssh.connect_ms", (clock() - start) * 1e3)
    start = clock()
    context.call(empty)
    report("ssh.first_call_ms", (clock() - start) * 1e3)
    report("ssh.call_us", seconds_each(1000, lambda: context.call(empty)) * 1e6)

    start, used = clock(), own_cpu()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: router.ssh(**options), range(40)))
    report("ssh.contexts40_s", clock() - start)
    report("ssh.master_cpu_ms", (own_cpu() - used) / 40 * 1e3)


def plain_ssh(options, command):
    return [
        "ssh", "-F", "none", "-p", str(options["port"]), "-i", options["identity_file"],
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-o", "Compression=no", "-l", options["username"], options["hostname"], command,
    ]


def fetch(context, path):
    with tempfile.TemporaryFile() as file:
        whole, _ = mitogen.service.FileService.get(context, path, file)
        assert whole


def files(router):
    pool = mitogen.service.Pool(router, services=[mitogen.service.FileService(router)], size=2)
    options = ssh_options(os.environ["MEASURE_SSH_PORT"])
    with tempfile.NamedTemporaryFile() as source:
        source.write(os.urandom(64 * MIB))
        source.flush()
        pool.get_service("mitogen.service.FileService").register(path=source.name)
        for name, context in (
            ("files.local64_mib_s", router.local(python_path=python())),
            ("files.ssh64_mib_s", router.ssh(**options)),
        ):
            seconds = seconds_each(3, lambda: context.call(fetch, router.myself(), source.name))
            report(name, 64 / seconds)

        def cat(path):
            with open(path, "rb") as file:
                command = 'f=$(mktemp) && cat >"$f" && rm "$f"'
                subprocess.check_call(plain_ssh(options, command), stdin=file)

        nothing = seconds_each(3, lambda: cat(os.devnull))
        report("files.ssh_cat_mib_s", 64 / (seconds_each(3, lambda: cat(source.name)) - nothing))
    # Its threads would keep this program running.
    pool.stop()


def link100(router):
    options = ssh_options(os.environ["MEASURE_LINK_PORT"])
    plain = plain_ssh(options, "true")
    start = clock()
    subprocess.check_call(plain, stdin=subprocess.DEVNULL)
    report("link100.ssh_true_ms", (clock() - start) * 1e3)

    start = clock()
    context = router.ssh(**options)
    context = router.sudo(via=context, python_path=python(), connect_timeout=60)
    context.call(empty)
    report("link100.ssh_sudo_call_ms", (clock() - start) * 1e3)

    directory = tempfile.mkdtemp()
    try:
        package_of_fifty(directory)
        sys.path.insert(0, directory)
        import fifty.m0
        context = router.ssh(**options)
        context.call(os.getpid)
        start = clock()
        context.call(os.getpid)
        report("link100.builtin_call_ms", (clock() - start) * 1e3)
        start = clock()
        assert context.call(fifty.m0.value) == 50
        report("link100.package50_call_ms", (clock() - start) * 1e3)
    finally:
        shutil.rmtree(directory)


def package_of_fifty(directory):
    """Fifty modules, each of which imports the next, with some text in them. `measure_rust` creates the same."""
    package = os.path.join(directory, "fifty")
    os.mkdir(package)
    open(os.path.join(package, "__init__.py"), "w").close()
    for at in range(50):
        with open(os.path.join(package, "m%d.py" % at), "w") as file:
            if at < 49:
                file.write("from fifty import m%d\n" % (at + 1))
            following = "m%d.value() + 1" % (at + 1) if at < 49 else "1"
            file.write("\n\ndef value():\n    return %s\n\n" % following)
            for number in range(40):
                file.write(
                    "\ndef unused_%d(first, second):\n    return first * %d + second - %d\n\n"
                    % (number, number, at)
                )


LEFT_OUT = ("test", "tests", "idle_test", "site-packages", "dist-packages")


def minify(router):
    question = "import os, sys; sys.stdout.write(os.path.dirname(os.__file__))"
    root = subprocess.check_output([python(), "-c", question]).decode()
    sources = []
    for directory, children, files in os.walk(root):
        children[:] = [name for name in children if name not in LEFT_OUT]
        for name in files:
            if name.endswith(".py"):
                with tokenize.open(os.path.join(directory, name)) as file:
                    sources.append(file.read())
    size = failures = 0
    start = clock()
    for source in sources:
        try:
            size += len(mitogen.minify.minimize_source(source).encode())
        except Exception:
            size += len(source.encode())
            failures += 1
    spent = clock() - start
    report("minify.library_ms", spent * 1e3)
    # It has only one implementation, for one processor.
    report("minify.all_cores_ms", spent * 1e3)
    report("minify.library_kib", size / 1024)
    report("minify.failures", failures)


GROUPS = {"local": local, "hops": hops, "tree": tree, "ssh": ssh, "files": files, "link100": link100, "minify": minify}


@mitogen.main()
def main(router):
    mitogen.utils.log_to_file(level="ERROR")
    unknown = [name for name in sys.argv[1:] if name not in GROUPS]
    if unknown or not sys.argv[1:]:
        sys.exit("usage: measure.py %s" % " | ".join(GROUPS))
    for name in sys.argv[1:]:
        GROUPS[name](router)
