"""Prints the top-level names of this interpreter's standard library, one a line, sorted.

Since 3.10 the interpreter knows them, for all platforms. Before, they are the names of what is compiled in and of
what lies in the library's directories. Names of tests are left out, as the interpreter does.
"""

import os
import sys


def in_directories():
    library = os.path.dirname(os.path.abspath(os.__file__))
    for directory in sys.path:
        if not os.path.abspath(directory).startswith(library) or "-packages" in directory:
            continue
        if not os.path.isdir(directory):
            continue
        for name in os.listdir(directory):
            stem, dot, suffix = name.partition(".")
            if suffix == "py" or suffix.endswith("so"):
                # Python 2 finds `x` in `xmodule.so`.
                is_old = suffix == "so" and stem.endswith("module") and sys.version_info[0] == 2
                yield stem[: -len("module")] if is_old and stem != "module" else stem
            elif not dot and os.path.exists(os.path.join(directory, name, "__init__.py")):
                yield name


def names():
    known = getattr(sys, "stdlib_module_names", None)
    if known is not None:
        return set(known)
    return set(in_directories()) | set(sys.builtin_module_names)


def is_wanted(name):
    # What a build is configured with has a name of its own on each platform.
    unwanted = ("_test", "xx", "_xx", "_sysconfigdata", "_ctypes_test", "sitecustomize")
    return name not in ("test", "__main__", "__phello__") and not name.startswith(unwanted)


sys.stdout.write("".join("%s\n" % name for name in sorted(names()) if is_wanted(name)))
