"""HTML pages rendered from templates, and the tables in them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


class Cell(NamedTuple):
    """A cell that is sorted by its value instead of its text, NaN last, or that is a link."""

    text: str
    value: float | None = None
    address: str | None = None


class Table(NamedTuple):
    """A table of cells; the first cell of each row is its header."""

    caption: str
    header: list[str]
    rows: Sequence[Sequence[str | Cell]]


def render(template: Path, finalize: Callable[[Any], Any] | None = None, /, **values: Any) -> str:
    """Render a template; one of a page extends `base.html.j2` and prints tables with the macro of `table.html.j2`.

    In HTML, values are escaped; other formats can do so with `finalize`, which is called with every value that is
    printed. A variable that is missing from `values` is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        finalize=finalize,
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)
