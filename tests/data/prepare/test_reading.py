"""Reading a raw split in several processes; for single rows see test_rows.py."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.raw import ENTITIES, REVIEWS, TAGS, contents, raw_reviews, tags_of, texts, tokens_of
from unroll.data.prepare.labels import Labels, TagLabels
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepare.rows import RowReader, read_split
from unroll.data.prepare.split_rows import Corpus
from unroll.data.tokenizer import Tokenizer

REVIEWS_READER = RowReader(REVIEWS, Labels(["bad", "good"]), Tokenizer())


def write(path: Path, columns: dict[str, list[object]], rows_a_group: int) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_a_group)
    return path


def test_row_groups_and_processes_change_nothing(tmp_path: Path) -> None:
    columns = {
        "text": [f"word {i % 7} and {i}" if i % 5 else None for i in range(50)],
        "label": [i % 2 for i in range(50)],
    }
    whole = read_split(write(tmp_path / "a.parquet", columns, 100), REVIEWS_READER, Corpus())
    parts = read_split(write(tmp_path / "b.parquet", columns, 4), REVIEWS_READER, Corpus(), processes=2)
    assert list(parts.corpus.distinct) == list(whole.corpus.distinct)
    assert tokens_of(parts) == tokens_of(whole)
    assert parts.labels is not None and whole.labels is not None
    assert parts.labels.tolist() == whole.labels.tolist()
    assert parts.rows.tolist() == whole.rows.tolist() == [i for i in range(50) if i % 5]
    assert parts.quarantined == whole.quarantined == [(i, "missing text") for i in range(0, 50, 5)]


def test_tags_are_read_in_several_processes_too(tmp_path: Path) -> None:
    columns = {"tokens": [["in", f"City{i}"] for i in range(30)], "tags": [["O", "B-LOC"]] * 30}
    reader = RowReader(ENTITIES, TagLabels(TAGS, "iob2"), Tokenizer())
    rows = read_split(write(tmp_path / "a.parquet", columns, 3), reader, Corpus(), processes=2)
    assert tags_of(rows) == [[0, 1]] * 30
    assert rows.labels is None


@pytest.mark.parametrize("tokenizer", ["words", "unigram"])
def test_prepared_bytes_do_not_depend_on_the_processes(tmp_path: Path, tokenizer: str) -> None:
    from unroll.data.tokenizer import TokenizerOptions

    raw = raw_reviews(tmp_path / "raw", train=texts(*(f"some word{i % 9} here {i}!" for i in range(60))))
    for split in ("train", "test"):
        write(raw / f"{split}.parquet", pq.read_table(raw / f"{split}.parquet").to_pydict(), 5)
    subwords = None if tokenizer == "words" else tokenizer
    for processes in (1, 2):
        options = PrepareOptions(
            processes=processes,
            tokenizer=TokenizerOptions(subwords=subwords, subword_vocabulary=40),  # type: ignore[arg-type]
        )
        prepare(REVIEWS, raw, tmp_path / str(processes), options)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


class KilledReader(RowReader):
    def read(self, values: object) -> tuple[list[str], list[int]]:
        os.kill(os.getpid(), 9)
        raise AssertionError


def test_a_process_that_is_killed_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", texts(*map(str, range(20))), 2)
    reader = KilledReader(REVIEWS, Labels(["bad", "good"]), Tokenizer())
    with pytest.raises(ValueError, match="processes=2: a process was killed; accepted: fewer"):
        read_split(path, reader, Corpus(), processes=2)
