"""Where an output is made, and from what: whether it is complete, can go on, or is another one.

While it is made, the output is a hidden folder beside its place, with a copy of the model, the plan, and the parts that
are done. A complete one has a manifest.
"""

import glob
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unroll.files import delete, read_json, whole_folder, write_json
from unroll.inference.scoring.inputs import Chunk
from unroll.inference.scoring.output import is_one_file

_MANIFEST, _PLAN = "_manifest.json", "_plan.json"  # hidden from those who read the folder as a table
_VERSION = 1  # changes when the same settings give other parts


def file_facts(files: Sequence[Path]) -> list[list[Any]]:
    """Path, bytes and time of the last change of each file: reading terabytes twice would cost hours.

    Of a file that is not there any more it is the path alone.
    """
    found: list[list[Any]] = []
    for file in files:
        try:
            facts = file.stat()
        except FileNotFoundError:
            found.append([str(file)])
        else:
            found.append([str(file), facts.st_size, facts.st_mtime_ns])
    return found


def manifest_of(output: Path) -> Path:
    """Where the manifest of a complete output is."""
    return output.with_name(f"{output.name}.manifest.json") if is_one_file(output) else output / _MANIFEST


class Place:
    """Where an output is made.

    Args:
        output: the output.
        settings: everything that its rows depend on, as JSON values.
    """

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        self._output, self._settings = output, settings
        content = json.dumps([_VERSION, settings], sort_keys=True)
        self._fingerprint = hashlib.sha256(content.encode()).hexdigest()[:12]
        # With the fingerprint, a process that outlives its killed parent cannot write into a folder of other settings.
        self.work = output.with_name(f".{output.name}.parts-{self._fingerprint}")
        self.model = self.work / "model"
        self._is_file, self._manifest = is_one_file(output), manifest_of(output)

    def check(self) -> None:
        """Raise ValueError if the output is there and of something else; nothing is written."""
        self._facts_there()

    def complete(self) -> dict[str, Any] | None:
        """The facts of `finish` if the output is complete, else None.

        Raises:
            ValueError: there is an output of something else, complete or not.
        """
        if (self.work / _MANIFEST).exists():  # the last step was interrupted
            self._move()
        if facts := self._facts_there():
            delete(self.work)
            return facts
        for other in self._output.parent.glob(glob.escape(f".{self._output.name}.parts-") + "*"):
            if other == self.work:
                continue
            if not any(other.glob("part-*")):  # nothing is lost
                delete(other)
            else:
                raise ValueError(
                    f"{self._output} has been begun{self._differing(_read(other / _PLAN) or {})}; accepted: the same "
                    f"settings, another --output, or delete {other}"
                )
        return None

    def _facts_there(self) -> dict[str, Any] | None:
        is_there = any(self._output.iterdir()) if self._output.is_dir() else self._output.exists()
        if not is_there:
            return None
        facts = _read(self._manifest) or {}
        if facts.get("fingerprint") == self._fingerprint and self._output.is_file() == self._is_file:
            return facts
        raise ValueError(f"{self._output} exists{self._differing(facts)}; accepted: another --output, or delete it")

    def begin(self) -> Any:
        """Within this context the folder is made; see `whole_folder`. What killed processes left of it is deleted."""
        for left in self._output.parent.glob(glob.escape(f".{self.work.name}-") + "*"):
            delete(left)
        return whole_folder(self.work)

    def write_plan(self, folder: Path, chunks: Sequence[Chunk]) -> None:
        """Write what is to be done, so that nothing is cut again after an interruption."""
        write_json(folder / _PLAN, self._facts({"chunks": chunks}))

    def read_plan(self) -> list[Chunk] | None:
        """The chunks of `write_plan`; None if nothing has been begun."""
        facts = _read(self.work / _PLAN)
        return None if facts is None else [Chunk(*it) for it in facts["chunks"]]

    def finish(self, facts: dict[str, Any]) -> None:
        """Record that all parts are there; a folder of parts takes the place of the output."""
        if self._is_file:
            write_json(self._manifest, self._facts(facts))
        else:
            write_json(self.work / _MANIFEST, self._facts(facts))
            self._move()

    def _move(self) -> None:
        for name in ("model", _PLAN):
            delete(self.work / name)
        for left in self.work.glob(".*"):  # by processes that were killed
            delete(left)
        os.rename(self.work, self._output)

    def _facts(self, others: dict[str, Any]) -> dict[str, Any]:
        return {"fingerprint": self._fingerprint, "settings": self._settings, **others}

    def _differing(self, facts: dict[str, Any]) -> str:
        """In which settings another output differs."""
        before = facts.get("settings")
        if before is None:
            return " and is not by unroll score"
        names = [name for name, value in self._settings.items() if before.get(name) != value]
        shown = [it if it == "input" else f"{it} {before.get(it)!r}, not {self._settings[it]!r}" for it in names]
        return f" with other settings ({'; '.join(shown) or 'another version of unroll'})"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = read_json(file, keys=("fingerprint", "settings"))
    except (ValueError, OSError):
        return None
    return facts
