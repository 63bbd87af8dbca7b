"""Functions that run on targets. Each reads data files of the package `fixture_data`, which only the master has."""
import pkgutil
import sys


def read():
    """A file, one in a subdirectory, and a missing one."""
    try:
        missing = pkgutil.get_data("fixture_data", "nowhere.txt")
    except (IOError, OSError):
        missing = "IOError"
    return (
        pkgutil.get_data("fixture_data", "greeting.txt").decode("utf-8"),
        len(pkgutil.get_data("fixture_data", "sub/blob.bin")),
        missing,
    )


def list_all():
    """The names in the package and in its subdirectory, by the API of this version."""
    if sys.version_info >= (3, 9):
        from importlib.resources import files
        root = files("fixture_data")
        names = sorted(entry.name for entry in root.iterdir())
        inner = sorted(entry.name for entry in (root / "sub").iterdir())
        assert (root / "sub" / "blob.bin").read_bytes() == pkgutil.get_data("fixture_data", "sub/blob.bin")
        assert (root / "greeting.txt").read_text(encoding="utf-8").startswith(u"hello")
        return names, inner
    if sys.version_info >= (3, 7):
        from importlib import resources
        assert resources.is_resource("fixture_data", "greeting.txt")
        assert not resources.is_resource("fixture_data", "nowhere.txt")
        return sorted(resources.contents("fixture_data")), ["blob.bin"]
    return ["__init__.py", "greeting.txt", "sub"], ["blob.bin"]
