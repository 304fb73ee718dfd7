"""Finds files of word vectors by path or name, and reads them decompressed."""

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from unroll.checks import first_names
from unroll.data.vectors.text import read_lines
from unroll.project import database_folder, project_root

FOLDERS = "UNROLL_VECTORS"  # in the environment: folders to look in, separated as in PATH
MEMBER = "::"  # between a ZIP archive and its member
BUFFER_BYTES = 1 << 20
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_ENDINGS = {".txt", ".vec", ".bin", ".gz", ".zip"}
_ACCEPTED = (
    "a GloVe, word2vec or fastText file (text, also in gzip or ZIP, or .bin), by its path, or by its name if it is in "
    f"data/vectors or a folder in {FOLDERS}; the projects GloVe and fastText publish such files"
)


class VectorsFile(NamedTuple):
    """A file of word vectors; in a ZIP archive, `member` is the name of the file in it."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}{MEMBER}{self.member}" if self.member else str(self.path)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content, decompressed.

        Raises:
            ValueError: the file cannot be read; this includes errors that the block raises while it reads.
        """
        try:
            with self.path.open("rb", buffering=BUFFER_BYTES) as file:
                start = file.read(len(_GZIP))
                file.seek(0)
                if self.member is not None:
                    with zipfile.ZipFile(file) as archive, _opened(archive, self.member) as member:
                        yield member
                elif start == _GZIP:
                    yield io.BufferedReader(gzip.GzipFile(fileobj=file), BUFFER_BYTES)
                else:
                    yield file
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise ValueError(f"{self} cannot be read: {error}") from error

    def of_width(self, width: int | None = None) -> "VectorsFile":
        """In a ZIP archive, the member with vectors of `width` numbers, or the only one; else this file.

        Raises:
            ValueError: there is no such member, or several.
        """
        if self.member is not None or not _is_archive(self.path):
            return self
        members = _members(self.path)
        members = [it for it in members if not it.endswith(".bin")] or members  # fastText's archives have both forms
        if len(members) != 1 and width is not None:
            fitting = [it for it in members if _width(VectorsFile(self.path, it)) == width]
            members = fitting if len(fitting) == 1 else members
        if len(members) != 1:
            wanted = "" if width is None else f", none or several of them with {width} numbers per word"
            accepted = first_names([f"vectors={VectorsFile(self.path, it)}" for it in members]) or "another archive"
            raise ValueError(f"vectors={self.path} contains {len(members)} files{wanted}; accepted: {accepted}")
        return VectorsFile(self.path, members[0])


def find_vectors(vectors: str) -> VectorsFile:
    """The file that the option `vectors` names.

    Args:
        vectors: the path of a file, or its name, with or without its endings, if the file or a ZIP archive that
            contains it is in ``data/vectors`` of the project or in a folder of the environment variable UNROLL_VECTORS.
            ``ARCHIVE::MEMBER`` names a file in an archive.

    Raises:
        ValueError: there is no such file, or several.
    """
    name, _, member = vectors.partition(MEMBER)
    found = VectorsFile(Path(name)) if Path(name).is_file() else _by_name(name, vectors)
    if member and not _is_archive(found.path):
        raise ValueError(f"vectors={vectors}: {found.path} is not a ZIP archive; accepted: vectors={found.path}")
    if member and member not in (members := _members(found.path)):
        raise ValueError(f"vectors={vectors}: no such file in {found.path}; accepted: {first_names(members)}")
    return VectorsFile(found.path, member) if member else found


def _by_name(name: str, vectors: str) -> VectorsFile:
    is_path = Path(name).name != name
    folders = [] if is_path else _folders()
    for folder in folders:
        files = _files(folder)
        found = [VectorsFile(it) for it in files if it.name == name] or [
            VectorsFile(it) for it in files if _is_called(it.name, name)
        ]
        if not found:
            archives = [it for it in files if it.suffix == ".zip" and _is_archive(it)]
            found = [
                VectorsFile(archive, member)
                for archive in archives
                for member in _members(archive)
                if _is_called(PurePosixPath(member).name, name)
            ]
        if len(found) > 1:
            raise ValueError(f"vectors={vectors}: several files; accepted: {first_names([str(it) for it in found])}")
        if found:
            return found[0]
    looked = [f"{folder} has {first_names([it.name for it in _files(folder)]) or 'no file'}" for folder in folders]
    raise ValueError(f"vectors={vectors}: no such file{''.join(f'; {it}' for it in looked)}; accepted: {_ACCEPTED}")


def vectors_folder() -> Path:
    """``data/vectors`` of the project; of the project itself for the copies that ``dvc exp run --queue`` works in."""
    return database_folder(project_root()) / "data" / "vectors"


def _folders() -> list[Path]:
    named = os.environ.get(FOLDERS, "").split(os.pathsep)
    return [*(Path(folder) for folder in named if folder), vectors_folder()]


def _files(folder: Path) -> list[Path]:
    return sorted(it for it in folder.glob("[!.]*") if it.is_file())


def _is_called(file: str, name: str) -> bool:
    """Whether the name of a file is `name` and endings such as ``.txt.gz``."""
    while file != name and (ending := PurePosixPath(file).suffix) in _ENDINGS:
        file = file.removesuffix(ending)
    return file == name


def _is_archive(path: Path) -> bool:
    with VectorsFile(path).open() as stream:
        return stream.read(len(_ZIP)) == _ZIP


def _members(archive: Path) -> list[str]:
    """The files in a ZIP archive."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [it.filename for it in opened.infolist() if not it.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{archive} cannot be read: {error}") from error
    return [it for it in names if not it.startswith("__MACOSX/")]


def _opened(archive: zipfile.ZipFile, member: str) -> BinaryIO:
    try:
        return io.BufferedReader(archive.open(member), BUFFER_BYTES)  # type: ignore[type-var]
    except RuntimeError as error:  # encrypted, or compressed in a way that Python does not know
        raise ValueError(f"{archive.filename}{MEMBER}{member} cannot be read: {error}") from error


def _width(file: VectorsFile) -> int:
    with file.open() as stream:
        return next(read_lines(stream, str(file))).width
