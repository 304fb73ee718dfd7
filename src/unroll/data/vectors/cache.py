"""What is kept of large files of word vectors, so that later commands need not read them again.

This is the checksum of each file, and the vectors of each vocabulary. The folder may be deleted at any time.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.encoding import write_array
from unroll.data.schema import DataSchema
from unroll.data.vectors.files import VectorsFile, vectors_folder
from unroll.data.vectors.read import PretrainedVectors, read_vectors
from unroll.files import (
    CHECKSUMS,
    damaged_files,
    json_digest,
    make_folder,
    read_mapping,
    sha256,
    whole_folder,
    write_checksums,
    write_json,
)
from unroll.locks import cache_lock

LARGE = 1 << 25  # bytes of a file of which anything is kept
RECENT = 10 * 10**9  # nanoseconds; a file may have been written again within the resolution of its times
_ARRAYS = ("vectors", "found")


def cache_folder() -> Path:
    return vectors_folder() / ".cache"


def checksum(path: Path) -> str:
    """The SHA-256 of a file; of a large one it is computed once, until its inode, size or times change.

    The system sets the time of the last change of an inode, which no program can set back. A checksum is kept only if
    the file was not changed in the last seconds before it was read, nor meanwhile.
    """
    before = _identity(path)
    if before["size"] < LARGE:
        return sha256(path)
    record = cache_folder() / f"{json_digest(str(path.resolve()))}.json"
    kept = _mapping(record)
    if kept.pop("check", None) == json_digest(kept) and kept.get("file") == before:
        return str(kept["sha256"])
    found = sha256(path)
    if _identity(path) == before and max(before["modified"], before["changed"]) + RECENT < time.time_ns():
        facts = {"path": str(path), "file": before, "sha256": found}
        try:
            make_folder(record.parent)
            write_json(record, {**facts, "check": json_digest(facts)})
        except (OSError, ValueError) as error:
            _say_not_kept(path, error)
    return found


def vectors_of(file: VectorsFile, schema: DataSchema) -> PretrainedVectors:
    """The vectors of the words of a vocabulary; see `read_vectors`, whose result is kept if the file is large."""
    before = _identity(file.path)
    if before["size"] < LARGE:
        return read_vectors(file, schema.vocabulary, schema.tokenizer.word)
    try:
        make_folder(cache_folder())
        lock = cache_lock(cache_folder())
        lock.acquire()
    except (OSError, ValueError) as error:
        _say_not_kept(file.path, error)
        return read_vectors(file, schema.vocabulary, schema.tokenizer.word)
    with lock:  # others wait, rather than read the same gigabytes
        of_file = [checksum(file.path), file.member]
        rules = [asdict(schema.tokenizer.options), sha256(*sorted(Path(__file__).parent.glob("*.py")))]
        folder = cache_folder() / json_digest([*of_file, *rules, schema.vocabulary])
        if (folder / CHECKSUMS).exists() and not damaged_files(folder, [f"{name}.npy" for name in _ARRAYS]):
            return PretrainedVectors(*(np.load(folder / f"{name}.npy") for name in _ARRAYS))
        result = read_vectors(file, schema.vocabulary, schema.tokenizer.word)
        if _identity(file.path) == before:
            try:
                _keep(result, folder)
            except ValueError as error:
                _say_not_kept(file.path, error)
        return result


def _mapping(record: Path) -> dict[str, Any]:
    try:
        return read_mapping(record)
    except OSError:  # a folder that this user may not read, or a file in its place
        return {}


def _keep(result: PretrainedVectors, folder: Path) -> None:
    with whole_folder(folder) as work:
        for name, array in zip(_ARRAYS, result, strict=True):
            write_array(work / f"{name}.npy", array)
        write_checksums(work)


def _identity(path: Path) -> dict[str, Any]:
    try:
        facts = path.stat()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return {
        "device": facts.st_dev,
        "inode": facts.st_ino,
        "size": facts.st_size,
        "modified": facts.st_mtime_ns,
        "changed": facts.st_ctime_ns,
    }


def _say_not_kept(path: Path, error: Exception) -> None:
    cause = str(error) if isinstance(error, ValueError) else f"{cache_folder()} cannot be written: {error}"
    print(f"{path} will be read again by the next command, since {cause}", flush=True)
