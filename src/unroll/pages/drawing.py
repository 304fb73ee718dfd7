"""The style of figures, and figures as inline SVG."""

import io
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

INK = "#24292f"
WIDTH = 4.8  # inches; on a phone the text of such a figure is only slightly smaller

# Wong 2011, "Points of view: Color blindness", without black and yellow, which are invisible on dark or light paper.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
NAME_LENGTH = 24

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
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
