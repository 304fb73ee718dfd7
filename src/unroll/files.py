"""Files and folders that are either complete or absent."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKSUMS = "sha256.json"


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` if the block succeeds and is deleted if it raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    work.chmod(0o755)  # mkdtemp creates it with mode 700
    try:
        yield work
        if target.exists():
            shutil.rmtree(target)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces `target` when the block ends without an error."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def delete(path: Path) -> None:
    """Delete a file or a folder; nothing happens if it does not exist."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: a reader sees either the old or the new content."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, keys: Sequence[str] = ()) -> Any:
    """Read a JSON file that must contain at least the given keys.

    Raises:
        ValueError: the file is not JSON, or a key is missing.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # RecursionError: too many nested brackets
        raise ValueError(f"{path} is damaged: {error}") from error
    if missing := [key for key in keys if not isinstance(value, dict) or key not in value]:
        raise ValueError(f"{path} is damaged: missing {', '.join(missing)}")
    return value


def sha256(*paths: Path) -> str:
    """The SHA-256 of the concatenated contents of the files, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder and its subfolders, by its path in the folder."""
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def write_checksums(folder: Path) -> None:
    """Record the SHA-256 of every file of a folder that has no subfolders, for `damaged_files`."""
    write_json(folder / CHECKSUMS, checksums(folder))


def damaged_files(folder: Path) -> list[str]:
    """The files that are missing, or not what `write_checksums` found; none if there are no checksums."""
    recorded = read_json(folder / CHECKSUMS) if (folder / CHECKSUMS).exists() else {}
    files = {name: folder / Path(name).name for name in recorded}
    return [name for name, file in files.items() if not file.is_file() or sha256(file) != recorded[name]]
