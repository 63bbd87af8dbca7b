"""Runs the tests of the Python runtime under every interpreter found.

    python3 core/runtimes/python/python/tests/run.py [TEST ...]

`TEST` are unittest names, such as `test_calls.Calls.test_chains`. Interpreters are pyenv's versions, and
`python3` and `python2.7` on PATH; MITOGEN_PYTHONS, a list separated by colons, replaces the search. The
parts of the bootstrap come from cargo, or from the file named by MITOGEN_PARTS.
"""
import glob
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(HERE)))))
ASK = "import os, sys; print(os.path.realpath(sys.executable)); print('%d.%d.%d' % sys.version_info[:3])"


def ask(path):
    """The real path and version of an interpreter, or None if it does not run or is not supported."""
    try:
        path, version = subprocess.check_output([path, "-c", ASK]).decode().split()
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    number = tuple(map(int, version.split(".")))
    return (number, path) if number[:2] == (2, 7) or number >= (3, 6) else None


def interpreters():
    given = os.environ.get("MITOGEN_PYTHONS")
    if given:
        paths = given.split(":")
    else:
        paths = ["python3", "python2.7"]
        try:
            root = subprocess.check_output(["pyenv", "root"]).decode().strip()
            paths += glob.glob(os.path.join(root, "versions", "*", "bin", "python"))
        except (OSError, subprocess.CalledProcessError):
            pass
    return sorted(set(filter(None, map(ask, paths))))


def parts():
    if os.environ.get("MITOGEN_PARTS"):
        return os.environ["MITOGEN_PARTS"]
    sources = sorted(
        glob.glob(os.path.join(ROOT, "core/runtimes/python/python/*.py"))
        + glob.glob(os.path.join(ROOT, "core/runtimes/python/python/core/*.py"))
        + glob.glob(os.path.join(ROOT, "core/runtimes/python/python/upstream/*.py"))
    )
    command = ["cargo", "run", "--quiet", "-p", "mitogen-python", "--example", "bootstrap_parts", "--"]
    fd, path = tempfile.mkstemp(suffix=".json")
    with os.fdopen(fd, "wb") as fp:
        subprocess.check_call(command + sources, stdout=fp, cwd=ROOT)
    return path


def main():
    found = interpreters()
    if not found:
        sys.exit("no python interpreter found")
    print("interpreters:")
    for version, path in found:
        print("  %d.%d.%d  %s" % (version + (path,)))
    made = parts()
    env = dict(os.environ, MITOGEN_PARTS=made, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=HERE)
    tests = sys.argv[1:] or sorted(
        os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "test_*.py"))
    )
    failed = []
    for version, path in found:
        print("== %d.%d.%d" % version)
        sys.stdout.flush()
        if subprocess.call([path, "-m", "unittest"] + tests, cwd=HERE, env=env):
            failed.append("%d.%d.%d" % version)
    if made != os.environ.get("MITOGEN_PARTS"):
        os.unlink(made)
    if failed:
        sys.exit("failed under: " + ", ".join(failed))
    print("all passed under %d interpreters" % len(found))


if __name__ == "__main__":
    main()
