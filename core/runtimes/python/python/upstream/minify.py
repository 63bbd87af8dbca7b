"""`mitogen.minify`: Python source without comments and docstrings, with every line in its place."""
import io
import tokenize

import mitogen.core as core

SKIPPED = (tokenize.NL, tokenize.COMMENT)


def minimize_source(source):
    """`source` without comments, docstrings and deep indentation."""
    text = core.to_text(source)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    lines = text.split(u"\n")
    # From the end, so that positions before an edit stay valid.
    for (row, column), (last, end), new in reversed(edits(tokens, lines[:])):
        lines[row - 1:last] = [lines[row - 1][:column] + new + lines[last - 1][end:]]
        lines[row:row] = [u""] * (last - row)
    made = u"\n".join(lines)
    return made if isinstance(source, core.text) else made.encode("utf-8")


def following(tokens, at):
    """The kind of the token after number `at` and a comment."""
    return next(token[0] for token in tokens[at + 1:at + 3] if token[0] != tokenize.COMMENT)


def edits(tokens, lines):
    """Replacements in order: start, end, text."""
    found = []
    depth = 0
    # Whether a docstring may follow: at the start, and behind the indentation of a class or function.
    expecting, defining, starting = True, False, True
    for at, token in enumerate(tokens):
        kind, text, start, end = token[:4]
        if kind == tokenize.COMMENT:
            if not (start[0] <= 2 and (text[:2] == "#!" or "coding" in text)):
                before = lines[start[0] - 1][:start[1]]
                found.append(((start[0], len(before.rstrip())), end, u""))
            continue
        if kind in SKIPPED:
            continue
        if kind == tokenize.INDENT:
            depth += 1
            expecting = defining
            continue
        if kind == tokenize.DEDENT:
            depth -= 1
            expecting = False
            continue
        if kind == tokenize.ENDMARKER:
            break
        if starting and kind != tokenize.NEWLINE:
            if lines[start[0] - 1][:start[1]] != u" " * depth:
                found.append(((start[0], 0), start, u" " * depth))
            words = [tokens[at][1]]
            if words[0] == "async":
                words.append(tokens[at + 1][1])
            defining = words[-1] in ("def", "class")
        if starting and expecting and kind == tokenize.STRING and following(tokens, at) == tokenize.NEWLINE:
            found.append((start, end, u"''"))
        if starting and kind != tokenize.NEWLINE:
            expecting = False
        starting = kind == tokenize.NEWLINE
    return found
