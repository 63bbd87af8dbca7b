"""What stock Mitogen makes of sources: reads paths from standard input, and prints a line for each.

The line is the number of bytes of its result, `failed` where it raised, or `broken` where its result is no Python:
it leaves nothing where a body held nothing but a docstring.
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
