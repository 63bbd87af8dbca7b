"""Compares the syntax trees of sources before and after minimizing, in Python 2.7 and 3.

Reads a line for each file from standard input: the path, a tab, and the length of the minimized source in bytes; the
minimized source follows. Prints a line for each file: the path, a tab, and one of

  refused MESSAGE   this interpreter rejects the original file
  same              the trees and the lines of all nodes are equal, without strings that are statements
  MESSAGE           the difference
"""
import ast
import re
import sys
import threading
import warnings

try:
    import cPickle as pickle
except ImportError:
    import pickle

# Before 3.8 the line of a string is that of its end, so the expected line of a `pass` for it is not known.
STRINGS_BEGIN = sys.version_info >= (3, 8)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
IGNORED = ("col_offset", "end_lineno", "end_col_offset")
COLUMNS = re.compile(b"(?s)h[\0-\3](?:K.|M..|J....|N)")


def is_string(node):
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if hasattr(ast, "Constant") and isinstance(value, ast.Constant):
        return isinstance(value.value, (bytes, type(u"")))
    return type(value).__name__ in ("Str", "Bytes")


def without_strings(tree):
    """Takes out the statements that are strings; blocks that held nothing else hold `pass`."""
    todo = [tree]
    while todo:
        node = todo.pop()
        for name in BLOCKS:
            block = getattr(node, name, None)
            if not isinstance(block, list) or not block:
                continue
            kept = [child for child in block if not is_string(child)]
            if not kept and not isinstance(node, ast.Module):
                kept = [ast.Pass(lineno=block[0].lineno, col_offset=0)]
            if not STRINGS_BEGIN and len(kept) == 1 and isinstance(kept[0], ast.Pass):
                kept[0].lineno = 0
            if len(kept) == 1 and isinstance(kept[0], ast.Pass):
                kept = [ast.Pass(lineno=kept[0].lineno, col_offset=0)]
            setattr(node, name, kept)
            todo.extend(kept)
    return tree


def summary(tree):
    """Bytes that are equal for equal trees, columns left out. Names come first, so that their numbers are known."""
    text = pickle.dumps((IGNORED, tree), 2)
    return COLUMNS.sub(b"", text)


def difference(one, other):
    """Where two trees differ first, or nothing."""
    todo = [(one, other, "module", 0)]
    while todo:
        one, other, place, line = todo.pop()
        if type(one) is not type(other):
            return "line %d, %s: %r and %r" % (line, place, one, other)
        if isinstance(one, ast.AST):
            line = getattr(one, "lineno", line)
            if line != getattr(other, "lineno", line):
                return "%s in line %d and in line %d" % (type(one).__name__, line, other.lineno)
            for name in one._fields:
                pair = getattr(one, name, None), getattr(other, name, None)
                todo.append(pair + (type(one).__name__ + "." + name, line))
        elif isinstance(one, list):
            if len(one) != len(other):
                return "line %d, %s: %d and %d" % (line, place, len(one), len(other))
            todo.extend((left, right, place, line) for left, right in zip(one, other))
        elif repr(one) != repr(other):
            return "line %d, %s: %.60r and %.60r" % (line, place, one, other)
    return None


def verdict(path, minimized):
    with open(path, "rb") as file:
        source = file.read()
    try:
        before = ast.parse(source)
    except Exception as error:
        return "refused %s" % error
    if not minimized.startswith(b"+"):
        return "not minimized: %r" % minimized
    try:
        after = ast.parse(minimized[1:])
    except Exception as error:
        return "not read again: %s" % error
    without_strings(before)
    without_strings(after)
    try:
        if summary(before) == summary(after):
            return "same"
    except RuntimeError:
        pass  # Too deep for the pickler; RecursionError in Python 3.
    return difference(before, after) or "same"


def main():
    warnings.simplefilter("ignore")
    stdin = getattr(sys.stdin, "buffer", sys.stdin)
    stdout = getattr(sys.stdout, "buffer", sys.stdout)
    while True:
        line = stdin.readline()
        if not line:
            break
        path, length = line.rstrip(b"\n").rsplit(b"\t", 1)
        text = verdict(path, stdin.read(int(length)))
        if not isinstance(text, bytes):
            text = text.encode("utf-8", "backslashreplace")
        stdout.write(path + b"\t" + text.replace(b"\n", b" ") + b"\n")
        stdout.flush()


# Trees are deep, and so are their pickles.
sys.setrecursionlimit(50000)
threading.stack_size(512 << 20)
thread = threading.Thread(target=main)
thread.start()
thread.join()
