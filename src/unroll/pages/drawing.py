"""The style of figures, the space around their axes, and figures as inline SVG.

The space is computed from the texts beside the axes. Matplotlib's own layouts draw a figure three times to find it.
"""

import io
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import NullLocator, PercentFormatter, StrMethodFormatter

INK = "#24292f"
WIDTH = 4.8  # inches; on a phone the text of such a figure is only slightly smaller

# Wong 2011, "Points of view: Color blindness", without black and yellow, which are invisible on dark or light paper.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
NAME_LENGTH = 24

# Inches.
LINE = 0.18  # a line of text beside an axis, with the space to the next one
TICK = 0.11  # a mark of an axis, and the space to its text
EDGE = 0.05  # at the edge of a figure
HINTING = 1.04  # what a text may be wider as pixels than as curves
NUMBERS = 0.42  # the widest numbers that mark an axis, such as 0.0001

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titley": 1.0,  # where it is anyway: otherwise matplotlib measures all that could be in its way
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "text.parse_math": False,  # labels may contain dollar signs
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "unroll",  # makes ids, and so the bytes of the page, reproducible
    **dict.fromkeys(
        ["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"], INK
    ),
}


@rc_context(STYLE)
def inline_svg(figure: Figure, name: str, title: str, description: str = "") -> Markup:
    """Draw a figure as an SVG element that inherits the text colour of the page.

    `name` is a prefix of the element ids, unique on the page; the title and the description are the text alternative.
    """
    buffer = io.StringIO()
    undated = dict.fromkeys(["Date", "Creator", "Format", "Type"])
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Title": title, **undated})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg ") :].replace(INK, "currentColor")
    for reference in (' id="', 'href="#', "url(#"):
        svg = svg.replace(reference, f"{reference}{name}-")
    alternative = escape(f"{title}. {description}" if description else title)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{alternative}" ', 1))


def shorten(name: str) -> str:
    """A name of at most NAME_LENGTH characters, which fits beside an axis."""
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def width_of(texts: Iterable[str], size: float = 9) -> float:
    """Width in inches of the widest text, or of its widest line, at a font size in points."""
    font = FontProperties(size=size)
    lines = [line for text in texts for line in text.split("\n")]
    widths = [text_to_path.get_text_width_height_descent(line, font, False)[0] for line in lines]  # points
    return HINTING * max(widths, default=0) / 72


def set_margins(
    figure: Figure,
    left: float,
    bottom: float,
    right: float = EDGE,
    top: float = EDGE,
    between: tuple[float, float] = (0, 0),
) -> None:
    """Set the space around the subplots of a figure, which has its size, and `between` columns and rows; all in inches.

    Nothing else is measured, so what stands in the space must fit in.
    """
    (width, height), grid = figure.get_size_inches(), figure.axes[0].get_gridspec()
    assert grid is not None
    across = (width - left - right - between[0] * (grid.ncols - 1)) / grid.ncols
    up = (height - bottom - top - between[1] * (grid.nrows - 1)) / grid.nrows
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=between[0] / across,
        hspace=between[1] / up,
    )


def legend_rows(names: Sequence[str]) -> tuple[int, int]:
    """Columns and rows of a legend below axes as wide as the page."""
    columns = max(1, int(WIDTH / (0.6 + 0.075 * max(map(len, names)))))
    return columns, math.ceil(len(names) / columns)


def mark_percent(axes: Axes, name: Literal["x", "y"], symbol: str | None = None) -> None:
    """Mark an axis of shares in per cent, and let it end at 0 or 100 % instead of beyond; marks there are drawn whole.

    All that is drawn must be within 0 and 1.
    """
    axis, set_ends = (axes.xaxis, axes.set_xlim) if name == "x" else (axes.yaxis, axes.set_ylim)
    axis.set_major_formatter(PercentFormatter(1, symbol=symbol))  # its own: it chooses the decimals from the range
    low, high = axis.get_view_interval()
    if low <= 0 or high >= 1:
        set_ends(max(low, 0), min(high, 1))
        for artist in [*axes.lines, *axes.collections]:
            artist.set_clip_on(False)


def mark_powers(axis: Axis) -> None:
    """Let a logarithmic axis end with powers of ten, and mark these, and nothing between them."""
    low, high = axis.get_view_interval()
    first = math.floor(math.log10(low))
    axis.set_view_interval(10.0**first, 10.0 ** max(math.ceil(math.log10(high)), first + 1), ignore=True)
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
