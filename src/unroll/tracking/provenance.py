"""The inputs of a training: enough to create its MLflow run in another store, and to detect later changes."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from platform import python_version
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.data.pretrained import pretrained_checksum
from unroll.files import check_files, read_json, whole_folder, write_checksums, write_json, write_text
from unroll.tracking.git import COMMIT, changed_code, differing_code, source_tags
from unroll.training.options import is_baseline

PROVENANCE = "training"  # folder in a run folder, in its checkpoints/, and among the artifacts of its MLflow run
PRETRAINED = "pretrained"  # tag of a training that begins with pretrained weights
MIXED_CODE = "git.mixed"  # tag of a training that was resumed with other code than it was started with


@dataclass(frozen=True)
class Provenance:
    """Everything that a training depends on."""

    dataset: str  # its name, and that of the MLflow experiment
    name: str  # of the MLflow run
    config: dict[str, Any]  # the resolved configuration
    overrides: list[str]  # the arguments of the command, such as ``model=lstm``
    tags: dict[str, str]  # of the MLflow run: the data, the commit, and anything else that marks the run
    changed: dict[str, str | None]  # SHA-256 of each code file that differed from the commit; None for a deleted file
    packages: dict[str, str]  # version of each installed package

    @classmethod
    def of(
        cls,
        dataset: str,
        name: str,
        config: dict[str, Any],
        data: PreparedData,
        overrides: list[str],
        tags: dict[str, str],
    ) -> "Provenance":
        """The provenance of a training that starts now; `tags` are added to those that every run has."""
        source = data.description["source"]
        of_data = {"dataset": dataset, "dataset.path": source["path"], "dataset.checksum": data.checksum}
        if source["commit"]:  # a folder has none
            of_data["dataset.revision"] = source["commit"]
        tags = source_tags("train") | of_data | pretrained_tags(config, data) | {"task": data.task} | tags
        return cls(dataset, name, config, overrides, tags, changed_code(), installed_packages())

    def save(self, folder: Path) -> None:
        """Write ``config.json``, ``packages.txt`` and, with everything else, ``origin.json`` to `folder`."""
        with whole_folder(folder) as work:
            write_json(work / "config.json", self.config)
            write_text(work / "packages.txt", "".join(f"{name}=={it}\n" for name, it in self.packages.items()))
            rest = ("dataset", "name", "overrides", "tags", "changed")
            write_json(work / "origin.json", {key: getattr(self, key) for key in rest})
            write_checksums(work)

    @classmethod
    def load(cls, folder: Path) -> "Provenance":
        """Read what `save` wrote; raises ValueError if a file is not what was written."""
        check_files(folder, "train again")
        lines = (folder / "packages.txt").read_text(encoding="utf-8").splitlines()
        packages = {name: version for name, _, version in (line.partition("==") for line in lines)}
        return cls(config=read_json(folder / "config.json"), packages=packages, **read_json(folder / "origin.json"))

    def code_differences(self) -> list[str]:
        """Describe each code file that has changed since; ``conf/`` is left to a comparison of configurations."""
        commit = self.tags.get(COMMIT)
        if commit is None:
            return ["code: the run has no commit, because it was trained outside a git repository"]
        try:
            files = differing_code(commit, self.changed)
        except ValueError as error:
            return [f"code: {error}"]
        return [f"code {file}" for file in files if not file.startswith("conf/")]

    def resumed(self) -> "Provenance":
        """The provenance of the same training when it is resumed with the code as it is now."""
        if COMMIT not in self.tags or not (found := self.code_differences()):
            return self
        return replace(self, tags=self.tags | {MIXED_CODE: ", ".join(found)})


def pretrained_tags(config: Mapping[str, Any], data: PreparedData) -> dict[str, str]:
    """What a training with this configuration begins with, by name and checksum; empty for random weights.

    Raises:
        ValueError: it is not there.
    """
    name = config.get("pretrained")
    if name is None or is_baseline(config):
        return {}
    return {PRETRAINED: name, f"{PRETRAINED}.checksum": pretrained_checksum(name, data)}


@cache
def installed_packages() -> dict[str, str]:
    """Map ``python`` and the name of each installed package to its version."""
    found: dict[str, str] = {}
    for package in distributions():
        with suppress(FileNotFoundError):  # a broken installation raises this, or has no name
            # `package.name` parses the whole file, a quarter of a second for all packages.
            header = (package.read_text("METADATA") or package.read_text("PKG-INFO") or "").partition("\n\n")[0]
            fields = dict(re.findall(r"^(Name|Version): *(\S+)", header, re.MULTILINE))
            if fields.keys() == {"Name", "Version"}:
                found.setdefault(fields["Name"].lower(), fields["Version"])  # the first one is imported
    return dict(sorted({"python": python_version(), **found}.items()))
