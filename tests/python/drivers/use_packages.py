"""Functions that run on targets. Each uses a package from the master, and returns the result and the package's origin."""
import sys


def where(*names):
    """The `__file__` of each of these modules."""
    return dict((name, str(getattr(sys.modules[name], "__file__", None))) for name in names)


def fetch(url):
    import requests
    response = requests.get(url, timeout=30, headers={"X-From": "target"})
    return response.status_code, response.json(), where("requests", "urllib3", "idna", "certifi")


def render(names):
    import jinja2
    template = jinja2.Environment().from_string("{% for name in names %}{{ name|upper }}{{ ',' if not loop.last }}{% endfor %}")
    return template.render(names=names), where("jinja2", "markupsafe")


def load_yaml(text):
    import yaml
    value = yaml.safe_load(text)
    return value, yaml.__with_libyaml__, yaml.safe_dump(value), where("yaml")


def make_attrs(x, y):
    import attr

    @attr.s(frozen=True)
    class Point(object):
        x = attr.ib(converter=int)
        y = attr.ib(validator=attr.validators.instance_of(int))

    return repr(Point(x, y)), attr.asdict(Point(x, y)), where("attr")


def print_table(rows):
    import io
    from rich.console import Console
    from rich.table import Table
    table = Table("name", "value")
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system="standard")
    console.print("[bold red]alarm[/] :warning:")
    console.print(table)
    return console.file.getvalue(), where("rich", "rich.table")


def source_and_trace():
    """The source of a function of a package from the master, and a traceback through it."""
    import inspect
    import traceback
    import yaml
    lines, first = inspect.getsourcelines(yaml.safe_load)
    try:
        yaml.safe_load("[unclosed")
    except yaml.YAMLError:
        return "".join(lines), first, traceback.format_exc()
