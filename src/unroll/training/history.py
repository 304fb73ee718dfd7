"""``history.csv``: one row per epoch, with the same columns for networks and baselines.

Columns: epoch (from 1), train/loss, the validation scores val/..., learning_rate (networks only), and seconds since the
start of the training.
"""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from unroll.files import write_text


def write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def summarise_history(path: Path, monitor: str) -> dict[str, Any]:
    """The entries of ``run.json`` that follow from the history; the first epoch with the best `monitor` is the best."""
    with path.open(newline="", encoding="utf-8") as stream:
        epochs = list(csv.DictReader(stream))
    best = max(epochs, key=lambda epoch: float(epoch[monitor]))
    return {
        "monitor": monitor,
        "best_score": float(best[monitor]),
        "best_epoch": int(best["epoch"]),
        "epochs": len(epochs),
        "training_seconds": float(epochs[-1]["seconds"]),
    }


def print_epoch(row: dict[str, float], max_epochs: int | None) -> None:
    """Print one row of the history as a line of a log; `max_epochs` is -1 or None if there is no limit."""
    total = f"/{max_epochs}" if max_epochs and max_epochs > 0 else ""
    scores = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if "/" in name)
    print(f"epoch {row['epoch']}{total}  {scores}  {row['seconds']:.0f} s", flush=True)
