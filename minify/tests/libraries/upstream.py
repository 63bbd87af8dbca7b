"""Minimizes sources with upstream Mitogen: reads paths from standard input, and prints a line for each.

The line is the size of the result in bytes, `failed` if upstream raised an exception, or `broken` if the result is not
valid Python: upstream leaves nothing of a body that contains only a docstring.
"""
import sys
import tokenize
import warnings

import mitogen.minify

warnings.simplefilter("ignore")
for path in sys.stdin:
    try:
        with tokenize.open(path.rstrip("\n")) as file:
            result = mitogen.minify.minimize_source(file.read())
    except Exception:
        print("failed", flush=True)
        continue
    try:
        compile(result, "result", "exec", dont_inherit=True)
    except SyntaxError:
        print("broken", flush=True)
    else:
        print(len(result.encode("utf-8")), flush=True)
