"""Files and folders that are either complete or absent."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CHECKSUMS = "sha256.json"

_REFUSALS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "EMFILE", "ENFILE")
_MISPLACED = ("EISDIR", "ENOTDIR", "ENAMETOOLONG", "ELOOP", "ENOTEMPTY")
_CODES = {getattr(errno, name) for name in (*_REFUSALS, *_MISPLACED) if hasattr(errno, name)}
# Libraries in C++ and Rust, and databases, raise their own errors, with the cause in their text.
_TEXTS = (
    "|".join(re.escape(os.strerror(getattr(errno, name))) for name in _REFUSALS if hasattr(errno, name))
    + "|database or disk is full|attempt to write a readonly database|file write failed"
)


class Refusal(NamedTuple):
    """What the file system refused: the file, if the error names it, and the cause."""

    path: str | None
    cause: str


def refusal(error: BaseException | None) -> Refusal | None:
    """The refusal of the file system (a full disk, no permission, …) that led to the error; None for other errors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None and error.errno in _CODES:
            path = error.filename2 or error.filename
            return Refusal(None if path is None else os.fsdecode(path), os.strerror(error.errno))
        # A ValueError is a message for the user already, which may contain such a text.
        if not isinstance(error, ValueError) and (found := re.search(_TEXTS, str(error))):
            return Refusal(None, found[0])
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


@contextmanager
def _writing(target: Path, work: Path) -> Iterator[None]:
    """Name `target` in the error if the file system refuses the block's work in `work`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileNotFoundError) and error.filename == str(work) and error.filename2 is None:
            raise unwritable(target, error) from error  # there is no place for new files
        refused = refusal(error)
        if refused is None or not (refused.path is None or refused.path.startswith((str(work), str(target)))):
            raise
        raise ValueError(f"{target} cannot be written: {refused.cause}") from error


def unwritable(path: Path, error: OSError) -> ValueError:
    """The error for a file or folder that cannot be created."""
    return ValueError(f"{_shown(path)} cannot be written: {error.strerror}; accepted: another place")


def _shown(path: Path) -> str:
    """The path for a message: without the folders that ``..`` leads out of again."""
    return os.path.abspath(path) if ".." in path.parts else str(path)


def make_folder(path: Path) -> None:
    """Create a folder, and those that it is in, unless it exists.

    Raises:
        ValueError: a file has its place, or the file system has none for it, such as /proc.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise unwritable(path, error) from error
    except (FileExistsError, NotADirectoryError):
        file = next(it for it in (path, *path.parents) if it.exists())
        raise ValueError(f"{_shown(file)} is a file; accepted: a folder, or a path that does not exist") from None


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` if the block succeeds and is deleted if it raises.

    Raises:
        ValueError: the disk is full, or the file system refuses otherwise.
    """
    with _writing(target, target.parent):
        make_folder(target.parent)
        try:
            work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        except FileNotFoundError as error:
            raise unwritable(target, error) from error
        work.chmod(0o755)  # mkdtemp creates it with mode 700
    try:
        with _writing(target, work):
            yield work
            delete(target)
            work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def whole_file(target: Path, mark: str = "") -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces `target` when the block ends without an error.

    The content of `target` is never written to: it may be a link to a file that must not change, such as DVC's cache.

    Args:
        mark: a part of the temporary name that differs between processes which may write `target` at the same time.

    Raises:
        ValueError: the disk is full, or the file system refuses otherwise.
    """
    temporary = target.with_name(f".{target.name}{mark}.tmp")
    try:
        with _writing(target, temporary):
            delete(temporary)  # what a killed process has left may be a link too
            yield temporary
            if target.is_dir():
                delete(target)
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def delete(path: Path) -> None:
    """Delete a file, a link or a folder; nothing happens if it does not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Create `target`, which must not exist, as hard links to a file or to the files of a folder, or as a copy."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_or_copy)
    else:
        _link_or_copy(source, target)


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a folder, replacing `target`; raises OSError if one cannot be read."""
    with whole_folder(target) as work:
        shutil.copytree(source, work, dirs_exist_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader sees either the old or the new content."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_bytes(path, text.encode())


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
    except (ValueError, RecursionError, IsADirectoryError) as error:
        raise ValueError(f"{path} is damaged: {reason(error)}") from error
    if missing := [key for key in keys if not isinstance(value, dict) or key not in value]:
        raise ValueError(f"{path} is damaged: missing {', '.join(missing)}")
    return value


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if the file is missing or damaged, or has another content."""
    try:
        value = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_yaml(path: Path) -> Any:
    """Read a YAML file; raises ValueError, with the line, if it is not YAML in UTF-8."""
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(yaml_problem(error, path)) from error


def yaml_problem(error: BaseException, path: Path | None = None) -> str:
    """What an error of a YAML parser says is wrong with a file, by default the one that it names."""
    mark = getattr(error, "problem_mark", None)
    name = path or getattr(mark, "name", None) or getattr(error, "name", "")
    problem = getattr(error, "problem", None) or reason(error)
    return f"{name}, line {mark.line + 1}: not YAML: {problem}" if mark else f"{name}: not YAML: {problem}"


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Turn whatever a reader raises for a damaged file into a ValueError of one line, with the file and the remedy.

    A missing file, and one that the file system does not let this process read, raise their own errors.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # readers of libraries raise anything: RuntimeError, struct.error, SafetensorError, …
        if isinstance(error, OSError) and not isinstance(error, IsADirectoryError) and refusal(error):
            raise
        cause = reason(error).removeprefix(f"{path} is damaged: ")
        raise ValueError(f"{path} is damaged ({cause}): {remedy}") from error


def reason(error: BaseException) -> str:
    """What is wrong with a file that cannot be read, in one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    if isinstance(error, RecursionError):
        return "too many nested brackets"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    first = str(error).strip().partition("\n")[0]
    # NumPy and PyTorch advise to load pickles, which would run code of the file
    return first if first and "pickle" not in first.lower() and not isinstance(error, KeyError) else "wrong content"


def sha256(*paths: Path) -> str:
    """The SHA-256 of the concatenated contents of the files, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def json_digest(value: Any) -> str:
    """The SHA-256 of a value as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder and its subfolders, by its path in the folder."""
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def write_checksums(folder: Path) -> None:
    """Record the SHA-256 of every file of a folder and its subfolders, for `damaged_files`, anew."""
    delete(folder / CHECKSUMS)
    write_json(folder / CHECKSUMS, checksums(folder))


def damaged_files(folder: Path, among: Sequence[str] | None = None) -> list[str]:
    """The files that are missing, or not what `write_checksums` found; none if there are no checksums.

    Args:
        among: names of files in the folder; those without a checksum count as damaged. None checks all that have one.
    """
    if not (folder / CHECKSUMS).exists():
        return []
    try:
        recorded = read_json(folder / CHECKSUMS)
        # Names in a damaged or malicious file must not lead out of the folder.
        if not isinstance(recorded, dict) or any(
            Path(name).is_absolute() or ".." in Path(name).parts or not re.fullmatch("[0-9a-f]{64}", str(checksum))
            for name, checksum in recorded.items()
        ):
            return [CHECKSUMS]
    except ValueError:
        return [CHECKSUMS]
    names = recorded if among is None else [it for it in among if it in recorded or (folder / it).exists()]
    return [it for it in names if not (folder / it).is_file() or sha256(folder / it) != recorded.get(it)]


def foreign_links(folder: Path) -> list[str]:
    """Links in a folder that lead out of it, to a file that has no checksum in it.

    Files that DVC or the Hub's cache links have one; the link of a malicious folder, to a file of the one who uses it,
    has none, since its content is unknown to the one who made it.
    """
    found = read_json(folder / CHECKSUMS) if (folder / CHECKSUMS).is_file() else {}
    recorded, root = found if isinstance(found, dict) else {}, folder.resolve()
    links = {it for it in folder.rglob("*") if it.is_symlink() and not it.resolve().is_relative_to(root)}
    return sorted({str(it.relative_to(folder)) for it in links} - {*recorded, CHECKSUMS})


def check_files(folder: Path, remedy: str, among: Sequence[str] | None = None) -> None:
    """Raise ValueError, with the remedy, if there are `damaged_files`."""
    if damaged := damaged_files(folder, among):
        raise ValueError(f"{folder} is damaged: {', '.join(damaged)} changed after it was written; {remedy}")
