"""Numbers that wait on disk, since a corpus may be larger than memory."""

import os
import tempfile
from pathlib import Path

import numpy as np


class Spool:
    """An array (M,) in a file without a name: appended to at its end, read by slices, gone with the object."""

    def __init__(self, dtype: type[np.integer], folder: Path | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, values: np.ndarray) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(values.astype(self._dtype).tobytes())
        self._size += len(values)

    def __getitem__(self, places: slice) -> np.ndarray:
        start, stop, _ = places.indices(self._size)
        width = self._dtype.itemsize
        self._file.seek(start * width)
        return np.frombuffer(self._file.read((stop - start) * width), self._dtype)
