"""Numbers as readers of the reports see them."""

import pandas as pd

MINUS = "\N{MINUS SIGN}"
BYTES = ("B", "kB", "MB", "GB")
FEW = 30  # a score of fewer examples is rounded: a single example changes it by points


def score_text(metric: str, mean: float, sd: float = float("nan")) -> str:
    """``91.23 ± 0.41`` in per cent (a loss unscaled); without a NaN standard deviation; a dash for NaN."""
    scale, digits = (1, 3) if metric.endswith("loss") else (100, 2)
    if pd.isna(mean):
        return "–"
    spread = "" if pd.isna(sd) else f" ± {scale * sd:.{digits}f}"
    return f"{scale * mean:.{digits}f}{spread}"


def part_text(score: float, size: float) -> str:
    """The score of a part in per cent; ``(33)`` for a part of fewer than FEW examples, a dash for an empty one."""
    if size == 0 or pd.isna(score):
        return "–"
    return score_text("score", score) if size >= FEW else f"({100 * score:.0f})"


def interval_text(low: float, high: float, sign: str = "") -> str:
    """``90.1 to 92.3`` in per cent; a dash for NaN. sign: ``+`` shows the sign of a difference."""
    if pd.isna(low):
        return "–"
    return f"{points_text(low, f'{sign}.1f')} to {points_text(high, f'{sign}.1f')}"


def points_text(share: float, form: str) -> str:
    """In percentage points; a value that is rounded to zero has no sign."""
    text = format(100 * share, form)
    return (text if float(text) else text.lstrip("+-")).replace("-", MINUS)


def p_text(p_value: float) -> str:
    """``p = 0.031``, or ``p < 0.001``."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def duration_text(seconds: float) -> str:
    """Seconds below a minute, then minutes and seconds, then hours and minutes; a dash for NaN."""
    if pd.isna(seconds):
        return "–"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def speed_text(speed: float) -> str:
    """Rounded to three digits, since timings are not more reproducible than that; a dash for NaN."""
    return "–" if pd.isna(speed) else f"{float(f'{speed:.3g}'):,.0f}"


def size_text(size: float) -> str:
    """Bytes in the largest unit that gives a number of at least 1."""
    unit = 0
    while size >= 999.5 and unit < len(BYTES) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {BYTES[unit]}" if unit == 0 or size >= 99.95 else f"{size:.1f} {BYTES[unit]}"
