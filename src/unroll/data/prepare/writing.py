"""A split's sequences as the files of an EncodedSplit, a block at a time."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from unroll.data.encoding import TokenTable
from unroll.data.prepare.split_rows import SplitRows
from unroll.data.tokens import UNKNOWN


def write_split(rows: SplitRows, table: TokenTable, folder: Path) -> int:
    """Write `folder`; return how many of the tokens are unknown words."""
    folder.mkdir()
    unknown = 0
    size = (rows.num_tokens,)
    np.save(folder / "rows.npy", rows.rows)
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(rows.lengths)]))
    if rows.labels is not None:
        np.save(folder / "labels.npy", rows.labels)
    with (folder / "tokens.npy").open("wb") as tokens:
        _begin(tokens, np.int32, size)
        for block in rows.blocks():
            tokens.write(block.tokens.astype(np.int32).tobytes())
            unknown += int((table.words[block.tokens] == UNKNOWN).sum())
    if rows.labels is None:
        with (folder / "labels.npy").open("wb") as labels:
            _begin(labels, np.int64, size)
            for block in rows.blocks():
                labels.write(block.labels.astype(np.int64).tobytes())
    return unknown


def _begin(file: BinaryIO, dtype: type[np.integer], shape: tuple[int, ...]) -> None:
    """The head of a file that `np.load` reads."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
