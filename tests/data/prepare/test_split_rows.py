from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unroll.data.prepare.split_rows import Spool


@given(st.lists(st.lists(st.integers(-5, 5), max_size=5), max_size=6), st.integers(0, 30), st.integers(0, 30))
def test_what_was_appended_is_read_by_slices(parts: list[list[int]], start: int, stop: int) -> None:
    spool = Spool()
    for part in parts:
        spool.append(np.array(part, np.int64))
    every = [number for part in parts for number in part]
    assert len(spool) == len(every)
    assert spool[start : max(start, stop)].tolist() == every[start : max(start, stop)]
    assert spool[:].dtype == np.int32


def test_it_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(np.arange(10))
    assert spool[2:4].tolist() == [2, 3]
    assert list(tmp_path.iterdir()) == []
