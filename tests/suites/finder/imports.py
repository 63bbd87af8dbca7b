"""Says what this interpreter's own parser finds in its standard library: a line of JSON for each file.

The rules are those of `mitogen::modules::imports`, on the syntax tree: absolute names, whether an import is in the
body of a function, and whether in a block that may not run; dead blocks are left out. Arguments: the first file, and
the distance to the next.
"""

import ast
import json
import os
import sys

SKIPPED = ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__")
FUNCTIONS = tuple(getattr(ast, n) for n in ("FunctionDef", "AsyncFunctionDef", "Lambda") if hasattr(ast, n))
COMPOUND = tuple(
    getattr(ast, n)
    for n in ("If", "Try", "TryStar", "TryExcept", "TryFinally", "With", "AsyncWith", "For", "AsyncFor", "While", "Match")
    if hasattr(ast, n)
)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def parent(name, level=1):
    for _ in range(level):
        name = name.rpartition(".")[0]
    return name


def text(node):
    """The value of a plain literal string."""
    value = getattr(node, "s", None) if sys.version_info < (3, 8) else getattr(node, "value", None)
    is_text = isinstance(value, str) and type(node).__name__ in ("Str", "Constant")
    return value if is_text else None


def is_plain(node, name):
    return type(node).__name__ == "Name" and node.id == name


class Scan(object):
    def __init__(self, fullname, is_package):
        self.fullname = fullname
        self.package = fullname if is_package else parent(fullname)
        self.found = []
        self.loops = []

    def resolve(self, level, module, package):
        if level > 1:
            # One that leads out leaves nothing.
            package = parent(package, level - 1)
        if package:
            return package + "." + module if module else package

    def add(self, module, names, deferred, guarded):
        if module:
            self.found.append([module, names, deferred, guarded])

    def walk(self, node, deferred, guarded):
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.add(alias.name, [], deferred, guarded)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = self.resolve(node.level, module, self.package)
            self.add(module, [alias.name for alias in node.names], deferred, guarded)
        elif isinstance(node, ast.Call):
            self.call(node, deferred, guarded)
        if type(node).__name__ in ("JoinedStr", "TemplateStr"):
            return
        condition = self.condition(node)
        for field, value in ast.iter_fields(node):
            dead = condition is not None and field == ("orelse" if condition else "body")
            if dead:
                continue
            children = value if isinstance(value, list) else [value]
            is_body = field in BLOCKS and isinstance(node, COMPOUND)
            is_deferred = field == "body" and isinstance(node, FUNCTIONS)
            values = self.loop(node) if field == "body" else None
            self.loops.append(values)
            for child in children:
                if isinstance(child, ast.AST):
                    self.walk(child, deferred or is_deferred, guarded or is_body)
            self.loops.pop()

    def loop(self, node):
        """The variable and the values of a loop over literals."""
        if type(node).__name__ == "For" and type(node.iter).__name__ in ("Tuple", "List"):
            values = [text(value) for value in node.iter.elts]
            if type(node.target).__name__ == "Name" and None not in values:
                return node.target.id, values

    def values(self, node):
        if type(node).__name__ == "Name":
            found = [loop[1] for loop in self.loops if loop and loop[0] == node.id]
            return found[-1] if found else []
        return [text(node)]

    def condition(self, node):
        """What an `if` comes to whenever the module is imported, if that is clear."""
        if type(node).__name__ != "If":
            return None
        test = node.test
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return True if self.is_false(test.operand) else None
        return False if self.is_false(test) or self.is_main(test) else None

    def is_false(self, test):
        value = getattr(test, "value", getattr(test, "n", None))
        kind = type(test).__name__
        return (
            is_plain(test, "TYPE_CHECKING")
            or is_plain(test, "False")
            or (kind in ("Constant", "NameConstant", "Num") and (value is False or (value == 0 and type(value) is int)))
            or (kind == "Attribute" and type(test.value).__name__ == "Name" and test.attr == "TYPE_CHECKING")
        )

    def is_main(self, test):
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            return any(self.is_main(value) for value in test.values)
        if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
            return False
        pair = [test.left, test.comparators[0]]
        return any(is_plain(a, "__name__") and text(b) == "__main__" for a, b in (pair, pair[::-1]))

    def call(self, node, deferred, guarded):
        name = getattr(node.func, "id", getattr(node.func, "attr", None))
        arguments = dict(enumerate(node.args))
        arguments.update((keyword.arg, keyword.value) for keyword in node.keywords)
        if name in ("__import__", "import_module"):
            for module in self.values(arguments.get(0, arguments.get("name"))):
                if module:
                    self.imported(name, module, arguments, deferred, guarded)

    def imported(self, name, module, arguments, deferred, guarded):
        if not all(part and part.replace("_", "a").isalnum() for part in module.lstrip(".").split(".")):
            return
        level = len(module) - len(module.lstrip("."))
        if name == "__import__":
            names = arguments.get(3, arguments.get("fromlist"))
            names = [text(n) for n in getattr(names, "elts", []) if text(n)]
            level = arguments.get(4, arguments.get("level"))
            level = getattr(level, "value", getattr(level, "n", 0))
            if isinstance(level, int) and level > 0:
                module = self.resolve(level, module, self.package)
            self.add(module, names, deferred, guarded)
        elif not level:
            self.add(module, [], deferred, guarded)
        else:
            package = arguments.get(1, arguments.get("package"))
            package = (
                self.package if is_plain(package, "__package__")
                else self.fullname if is_plain(package, "__name__")
                else text(package)
            )
            self.add(package and self.resolve(level, module.lstrip("."), package), [], deferred, guarded)


def sources(library):
    for directory, names, files in os.walk(library):
        names[:] = sorted(name for name in names if name not in SKIPPED)
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.join(directory, name)


def main(library, first, step):
    sys.setrecursionlimit(10000)
    for path in list(sources(library))[first::step]:
        fullname = os.path.relpath(path, library)[:-3].replace(os.sep, ".")
        is_package = fullname.endswith(".__init__")
        if is_package:
            fullname = parent(fullname)
        with open(path, "rb") as source:
            try:
                tree = ast.parse(source.read())
            except (SyntaxError, ValueError):
                continue
        scan = Scan(fullname, is_package)
        scan.walk(tree, False, False)
        print(json.dumps([path, fullname, is_package, scan.found]))


main(os.path.dirname(os.path.abspath(ast.__file__)), *map(int, sys.argv[1:]))
