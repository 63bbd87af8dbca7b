"""A package that exists in the binary of a test only."""

import pkgutil

from . import shapes


def greet(name):
    text = pkgutil.get_data(__name__, "texts/greeting.txt").decode("ascii")
    return "%s, %s: %d" % (text.strip(), name, shapes.area(2, 3))


def where():
    return shapes.__file__
