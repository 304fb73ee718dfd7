"""Where the served model comes from: a folder, or, in `unroll.registry.source`, a registered model."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from unroll.files import CHECKSUMS, checksums, copy_folder, damaged_files, delete, read_json, sha256

FOLDERS = "a run folder such as models/DATASET/MODEL/SEED, or a model folder"
ANY_MODEL = "a run folder such as models/DATASET/MODEL/SEED, a model folder, NAME@champion or models:/NAME/3"
_TRAINED = ("models/*/*/*/model/config.json", "onnx/*/*/*/config.json")  # where the pipeline and the export write
_MOST_NAMED = 5  # models in a message, those with the most similar names
_REGISTERED = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/([0-9]+))")


@dataclass(frozen=True)
class ServedModel:
    """A copy of a model folder that nobody changes, or the folder itself.

    Args:
        name: shown to clients.
        version: of the registered model, or a checksum of the folder.
        folder: its files.
    """

    name: str
    version: str
    folder: Path

    def facts(self) -> dict[str, Any]:
        """What clients may know: the task, the labels, and what a text is to the model."""
        config = read_json(self.folder / "config.json", keys=("task", "is_pair", "label_names"))
        return {
            "name": self.name,
            "version": self.version,
            "task": config["task"],
            "labels": config["label_names"],
            "is_pair": config["is_pair"],
            "given_tokens": config.get("given_tokens", False),
        }


@contextmanager
def copying(model: Path, folder: Path, name: str) -> Iterator[None]:
    """Copy a model folder, then check the copy, first by its checksums and then by the block.

    Raises:
        ValueError: a file is missing or not what was written, or the block has raised it; nothing is left of the copy.
    """
    try:
        copy_folder(model, folder)
        if damaged := damaged_files(folder):
            raise ValueError(f"{name}: {', '.join(damaged)} changed while it was copied")
        yield
    except (OSError, ValueError) as error:
        delete(folder)
        raise ValueError(str(error)) from error


class Source(Protocol):
    """Names a model that may change while it is served."""

    def version(self) -> str:
        """The version that is to be served now; raises ValueError if there is none."""

    def identity(self, version: str) -> str:
        """A text that no other model has, and no other version."""

    def copy(self, version: str, folder: Path) -> ServedModel:
        """Copy the model into `folder`, which does not exist; raises ValueError if it is missing or damaged."""


class RegisteredName(NamedTuple):
    """A registered model, and the alias or the version that is to be served."""

    name: str
    chosen: str
    is_alias: bool

    @classmethod
    def parse(cls, uri: str) -> "RegisteredName":
        """Read ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; raises ValueError for anything else."""
        found = _REGISTERED.fullmatch(uri)
        if not found:
            raise ValueError(
                f"{uri}: not the name of a registered model; accepted: models:/NAME@ALIAS or models:/NAME/VERSION"
            )
        return cls(found[1], found[2] or found[3], bool(found[2]))

    @staticmethod
    def matches(uri: str) -> bool:
        """Whether `parse` reads it."""
        return bool(_REGISTERED.fullmatch(uri))

    @property
    def uri(self) -> str:
        return f"models:/{self.name}{'@' if self.is_alias else '/'}{self.chosen}"


def find_folder(path: Path, accepted: str = ANY_MODEL) -> Path:
    """The model folder at `path`, or in the run folder at `path`.

    Raises:
        ValueError: there is no model; says what is accepted.
    """
    for folder in (path / "model", path):
        if (folder / "config.json").is_file():
            return folder
    what = "no trained model in this folder" if path.is_dir() else "a file" if path.exists() else "no such folder"
    found = [str(file.parent).removesuffix("/model") for pattern in _TRAINED for file in Path().glob(pattern)]
    close = get_close_matches(str(path), sorted(found), n=_MOST_NAMED, cutoff=0)
    more = f" and {len(found) - len(close)} more" if len(close) < len(found) else ""
    here = (
        f"here: {', '.join(close)}{more}"
        if close
        else "to train one: python pipelines/train.py dataset=NAME model=NAME"
    )
    raise ValueError(f"{path}: {what}; accepted: {accepted}; {here}")


class FolderSource:
    """A model folder, or the run folder that contains it; both may be replaced at any time.

    Raises:
        ValueError: there is no model.
    """

    def __init__(self, path: Path) -> None:
        self._folder = find_folder(path)
        self._has_checksums = (self._folder / CHECKSUMS).exists()
        parts = (path.parent if path.name == "model" else path).absolute().parts
        self._name = "/".join(parts[-3:]) if parts[-1].isdigit() else parts[-1]

    def version(self) -> str:
        listed = self._folder / CHECKSUMS
        # Without the checksums that it had, the folder is being deleted.
        if not (self._folder / "config.json").is_file() or (self._has_checksums and not listed.exists()):
            raise ValueError(f"{self._folder}: no trained model in this folder any more")
        return (
            sha256(listed)[:12]
            if listed.exists()
            else sha256(*map(self._folder.joinpath, checksums(self._folder)))[:12]
        )

    def identity(self, version: str) -> str:
        return version  # a checksum

    def in_place(self) -> ServedModel:
        """The folder itself, for a use that reads it only once."""
        return ServedModel(self._name, self.version(), self._folder)

    def copy(self, version: str, folder: Path) -> ServedModel:
        with copying(self._folder, folder, str(self._folder)):
            if self.version() != version:
                raise ValueError(f"{self._folder}: the model changed while it was copied")
        return ServedModel(self._name, version, folder)
