"""What each command has written, in a form that is equal if the results are: without times, ids and absolute paths."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd

Results = Callable[[Path], object]
TIMES = ["seconds", "training_seconds", "microseconds_per_token", "tokens_per_second", "run_id"]


def checksum(results: Results, root: Path) -> str:
    """The checksum of what a command has written in `root`; empty if something is missing or cannot be read."""
    try:
        return hashlib.sha256(repr(results(root)).encode()).hexdigest()
    except (OSError, ValueError, KeyError, sqlite3.Error):
        return ""


def contents(*patterns: str) -> Results:
    """The content of the files."""
    return lambda root: _contents(root, *patterns)


def trained(*runs: str) -> Results:
    """The model, history and facts of these run folders."""
    return lambda root: [_trained(root / run) for run in runs]


def uploaded(root: Path) -> object:
    """The points and tables in MLflow."""
    points = _rows(
        root / "mlflow.db", "select r.name, m.key, m.value, m.step from metrics m join runs r using (run_uuid)"
    )
    tables = sorted(
        hashlib.sha256(file.read_bytes()).hexdigest()
        for pattern in ("*.parquet", "*.csv", "weights.safetensors")
        for file in (root / "mlartifacts").rglob(pattern)
    )
    return points, tables


def registered(report: str) -> Results:
    """The decision and the model card of `register`, and the aliases."""

    def read(root: Path) -> object:
        decided = json.loads((root / report / "champion.json").read_text())
        card = re.sub(r"[0-9a-f]{32,}", "ID", (root / report / "model_card.md").read_text())
        return decided, card, aliases(root)

    return read


def aliases(root: Path) -> object:
    """The aliases of all registered models in MLflow."""
    return _rows(root / "mlflow.db", "select name, alias, version from registered_model_aliases")


def trials(root: Path) -> object:
    """The values and overrides of all trials of all studies."""
    values = "select t.number, v.objective, v.value from trial_values v join trials t using (trial_id)"
    overrides = "select t.number, a.value_json from trial_user_attributes a join trials t using (trial_id)"
    return _rows(root / "optuna.db", values), _rows(root / "optuna.db", f"{overrides} where a.key = 'overrides'")


def _rows(database: Path, query: str) -> object:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return sorted(connection.execute(query).fetchall())


def _contents(root: Path, *patterns: str) -> list[tuple[str, bytes]]:
    files = sorted({file for pattern in patterns for file in root.glob(pattern) if file.is_file()})
    if not files:
        raise FileNotFoundError(patterns)
    return [(str(file.relative_to(root)), file.read_bytes()) for file in files]


def _trained(run: Path) -> object:
    history = pd.read_csv(run / "history.csv").drop(columns="seconds", errors="ignore").to_csv()
    record = json.loads((run / "run.json").read_text())
    return _contents(run, "model/*"), history, {name: it for name, it in record.items() if name not in TIMES}
