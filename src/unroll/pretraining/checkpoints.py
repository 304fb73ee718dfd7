"""The state of a pretraining that may be interrupted at any moment."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from torch import Tensor

from unroll.files import reason, whole_file


class Checkpoint:
    """The last state of a training, in one file that is replaced as a whole and has checksums (ZIP)."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def save(self, arrays: dict[str, Tensor], position: tuple[int, int], figures: dict[str, float]) -> None:
        """Keep the arrays, the epoch and block that follow, and the sums of figures of this epoch."""
        facts = json.dumps({"position": position, "figures": figures})
        with whole_file(self.file) as temporary, temporary.open("wb") as file:
            content: dict[str, Any] = {name: array.numpy() for name, array in arrays.items()}
            np.savez(file, facts=np.array(facts), **content)

    def load(self, arrays: dict[str, Tensor]) -> tuple[tuple[int, int], dict[str, float]] | None:
        """Fill `arrays` with what `save` kept; return the position and the figures, or None if there is nothing."""
        if not self.file.is_file():
            return None
        try:
            with np.load(self.file, allow_pickle=False) as kept:
                facts = json.loads(str(kept["facts"]))
                found = {name: kept[name] for name in arrays}
        except (BadZipFile, EOFError, OSError, KeyError, ValueError) as error:
            print(f"{self.file} is damaged ({reason(error)}): starting over", flush=True)
            return None
        for name, array in found.items():
            np.copyto(arrays[name].numpy(), array)
        epoch, block = facts["position"]
        return (epoch, block), facts["figures"]

    @contextmanager
    def timed(self, figures: dict[str, float]) -> Iterator[None]:
        """Add the seconds of the block to ``figures["seconds"]``."""
        start = time.monotonic()
        yield
        figures["seconds"] += time.monotonic() - start
