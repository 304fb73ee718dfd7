"""What is kept of large files of vectors; here, every file is large."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.data.vectors import cache
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.read import PretrainedVectors, read_vectors
from unroll.files import delete, read_mapping, sha256, write_json

SCHEMA = DataSchema("classification", ["a"], ["<pad>", "<unk>", "cat", "dog"], ["<pad>", "<unk>"], Tokenizer(), False)
HOUR = 3600 * 10**9


class Kept:
    """The folder of the cache, a file of vectors, and how often each was read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "vectors" / ".cache"
        self.file = VectorsFile(folder / "glove.txt")
        self.file.path.write_text("cat 1 2\n")
        self.summed = self.read = 0
        self.meanwhile: Callable[[], object] = lambda: None
        monkeypatch.setattr(cache, "vectors_folder", lambda: folder / "vectors")
        monkeypatch.setattr(cache, "LARGE", 1)
        monkeypatch.setattr(cache, "sha256", self._sha256)
        monkeypatch.setattr(cache, "read_vectors", self._read)
        self.later(monkeypatch, HOUR)

    def later(self, monkeypatch: pytest.MonkeyPatch, nanoseconds: int) -> None:
        """Let that much time seem to have passed since the file was written."""
        written = self.file.path.stat().st_ctime_ns
        monkeypatch.setattr(cache.time, "time_ns", lambda: written + nanoseconds)

    def _sha256(self, *paths: Path) -> str:
        self.summed += paths == (self.file.path,)
        return sha256(*paths)

    def _read(self, *arguments: object) -> PretrainedVectors:
        self.read += 1
        self.meanwhile()
        return read_vectors(*arguments)  # type: ignore[arg-type]

    def vectors(self, schema: DataSchema = SCHEMA) -> PretrainedVectors:
        return cache.vectors_of(self.file, schema)

    def replace_content(self, content: str) -> None:
        """Write the file anew, with the time of the last modification that it had."""
        before = self.file.path.stat()
        while self.file.path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of the file system ticks in a few ms
            self.file.path.write_text(content)
            os.utime(self.file.path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(tmp_path, monkeypatch)


def test_the_second_training_reads_neither_the_file_nor_its_checksum(kept: Kept) -> None:
    first, second = kept.vectors(), kept.vectors()
    assert (kept.read, kept.summed) == (1, 1)
    assert first.vectors.tolist() == second.vectors.tolist() == [[0, 0], [0, 0], [1, 2], [0, 0]]
    assert first.found.tolist() == second.found.tolist() == [False, False, True, False]
    assert (second.vectors.dtype, second.found.dtype) == (np.float32, bool)


def test_the_checksum_is_that_of_the_content_and_computed_once(kept: Kept) -> None:
    assert cache.checksum(kept.file.path) == cache.checksum(kept.file.path) == sha256(kept.file.path)
    assert kept.summed == 1


def test_a_file_with_other_content_of_the_same_size_and_time_is_read_again(kept: Kept) -> None:
    kept.vectors()
    before = kept.file.path.stat()
    kept.replace_content("cat 3 4\n")
    after = kept.file.path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert cache.checksum(kept.file.path) == sha256(kept.file.path)
    assert kept.vectors().vectors[2].tolist() == [3, 4]


def test_another_file_in_its_place_is_read_again(kept: Kept, tmp_path: Path) -> None:
    kept.vectors()
    (tmp_path / "new").write_text("cat 3 4\n")
    os.replace(tmp_path / "new", kept.file.path)
    assert kept.vectors().vectors[2].tolist() == [3, 4]


def test_the_checksum_of_a_file_written_in_the_last_seconds_is_not_kept(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.later(monkeypatch, cache.RECENT)
    assert cache.checksum(kept.file.path) == cache.checksum(kept.file.path)
    assert kept.summed == 2


def test_vectors_of_a_file_that_changes_while_it_is_read_are_not_kept(kept: Kept) -> None:
    kept.meanwhile = lambda: kept.replace_content("cat 3 4\n")
    assert kept.vectors().vectors[2].tolist() == [3, 4]
    kept.meanwhile = lambda: None
    kept.replace_content("cat 1 2\n")
    assert kept.vectors().vectors[2].tolist() == [1, 2]


def test_another_vocabulary_or_tokenizer_is_another_subset(kept: Kept) -> None:
    kept.file.path.write_text("Cat 1 2\ndog 3 4\n")
    assert kept.vectors().vectors[2:].tolist() == [[1, 2], [3, 4]]
    assert kept.vectors(replace(SCHEMA, vocabulary=[*SCHEMA.vocabulary[:2], "dog"])).vectors[2:].tolist() == [[3, 4]]
    cased = replace(SCHEMA, tokenizer=Tokenizer(TokenizerOptions(lowercase=False)))
    assert kept.vectors(cased).vectors[2:].tolist() == [[0, 0], [3, 4]]
    assert kept.read == 3


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["vectors.npy", "found.npy", "sha256.json"])
@pytest.mark.parametrize("damage", [flip, delete, lambda path: path.write_bytes(b"")], ids=["flipped", "gone", "empty"])
def test_damaged_vectors_are_read_again(kept: Kept, name: str, damage: Callable[[Path], object]) -> None:
    kept.vectors()
    (file,) = kept.folder.glob(f"*/{name}")
    damage(file)
    assert kept.vectors().vectors[2].tolist() == [1, 2]
    assert kept.read == 2
    kept.vectors()
    assert kept.read == 2


def test_a_damaged_record_of_a_checksum_is_made_again(kept: Kept) -> None:
    right = cache.checksum(kept.file.path)
    (record,) = kept.folder.glob("*.json")
    whole = read_mapping(record)
    for damaged in (whole | {"sha256": "0" * 64}, [], {}, whole | {"check": None}):
        write_json(record, damaged)
        assert cache.checksum(kept.file.path) == right
    assert read_mapping(record) == whole


def test_the_folder_may_be_deleted(kept: Kept) -> None:
    kept.vectors()
    delete(kept.folder)
    assert kept.vectors().vectors[2].tolist() == [1, 2]


def test_other_processes_wait_while_one_reads(kept: Kept) -> None:
    def try_to_lock() -> None:
        with pytest.raises(Timeout):
            FileLock(kept.folder / ".lock").acquire(blocking=False)

    kept.meanwhile = try_to_lock
    kept.vectors()
    with FileLock(kept.folder / ".lock").acquire(blocking=False):
        assert kept.read == 1


def test_a_folder_that_cannot_be_written_is_named_and_the_file_is_read(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.folder.parent.mkdir()
    kept.folder.write_text("a file in its place")
    assert kept.vectors().vectors[2].tolist() == [1, 2]
    assert cache.checksum(kept.file.path) == sha256(kept.file.path)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and all(f"{kept.file} will be read again by the next command" in line for line in said)
    assert all(line.count(str(kept.folder)) == 1 for line in said)


def test_of_a_small_file_nothing_is_kept(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGE", kept.file.path.stat().st_size + 1)
    assert kept.vectors().found.any() and cache.checksum(kept.file.path) == sha256(kept.file.path)
    assert not kept.folder.exists()


def test_a_file_that_is_gone_is_named(kept: Kept) -> None:
    kept.file.path.unlink()
    for read in (kept.vectors, lambda: cache.checksum(kept.file.path)):
        with pytest.raises(ValueError, match=f"{kept.file} cannot be read: "):
            read()
