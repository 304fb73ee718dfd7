"""Pages made from templates, and the tables in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined


class Number(NamedTuple):
    """A cell that sorts by its value, whatever it reads like; NaN comes last."""

    text: str
    value: float

    def __str__(self) -> str:
        return self.text


class Table(NamedTuple):
    """Caption, column names, and rows of cells; the first cell names the row."""

    caption: str
    header: list[str]
    rows: Sequence[Sequence[str | Number]]


def render(template: Path, **values: Any) -> str:
    """Fill in a template, which extends `base.html.j2` and prints tables with the macro of `table.html.j2`."""
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)
