"""Output of measurements: lines of a Markdown table, and a JSON file."""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Row
from unroll.files import read_json, write_json

HEADER = """\
| | ours | other | other is | ratio | repeats |
|---|---|---|---|---|---|"""


def machine() -> dict[str, Any]:
    """Properties of the machine that the measurements depend on."""
    from joblib import cpu_count  # here, since the benchmarks of a GPU run without it

    return {
        "cpu": _cpu_model(),
        "cores": cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def line(row: Row) -> str:
    """The row as a line of the Markdown table."""
    theirs = "" if row.theirs is None else amount(row.theirs, row.unit)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return f"| {row.name} | {amount(row.ours, row.unit)} | {theirs} | {row.other or ''} | {ratio} | {row.repeats} |"


def merge(path: Path, groups: dict[str, list[Row]], facts: dict[str, Any]) -> None:
    """Write the groups' rows to `path`; the rows of other groups are kept if they are from the same machine."""
    before = read_json(path) if path.exists() else {"machine": facts, "groups": {}}
    kept = before["groups"] if before["machine"] == facts else {}
    measured = {group: [asdict(row) for row in rows] for group, rows in groups.items()}
    write_json(path, {"machine": facts, "groups": kept | measured})


def amount(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.1f} %"
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
