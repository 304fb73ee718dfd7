"""HTML pages rendered from templates, and the tables in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


class Number(NamedTuple):
    """A cell that is sorted by its value instead of its text; NaN is sorted last."""

    text: str
    value: float

    def __str__(self) -> str:
        return self.text


class Link(NamedTuple):
    """A cell with a link."""

    text: str
    address: str

    def __str__(self) -> str:
        return self.text


class Table(NamedTuple):
    """A table of cells; the first cell of each row is its header."""

    caption: str
    header: list[str]
    rows: Sequence[Sequence[str | Number | Link]]


def render(template: Path, **values: Any) -> str:
    """Render a template; one of a page extends `base.html.j2` and prints tables with the macro of `table.html.j2`.

    In HTML, values are escaped. A variable that is missing from `values` is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)
