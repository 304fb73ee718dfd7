"""What a training was made from: enough to log its run anew elsewhere, and to say later what has changed since."""

from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path
from platform import python_version
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.files import read_json, whole_folder, write_json, write_text
from unroll.tracking.git import COMMIT, changed_code, differing_code, git_tags

FOLDER = "training"  # in a run folder, and among a run's artifacts
MIXED = "git.mixed"  # the tag of a training that was begun with one code and gone on with by another


@dataclass(frozen=True)
class Origin:
    """
    Args:
        dataset: its name, which is the experiment's.
        name: the run's.
        config: the resolved configuration.
        overrides: what the command was given, `model=lstm` and so on.
        tags: of the run: the data, the commit, and whatever else marks it.
        changed: files of code that were not as committed, to their checksums; None: deleted.
        packages: every installed one to its version.
    """

    dataset: str
    name: str
    config: dict[str, Any]
    overrides: list[str]
    tags: dict[str, str]
    changed: dict[str, str | None]
    packages: dict[str, str]

    @classmethod
    def of(
        cls,
        dataset: str,
        name: str,
        config: dict[str, Any],
        data: PreparedData,
        overrides: list[str],
        tags: dict[str, str],
    ) -> "Origin":
        """Of a training that begins here and now; `tags` come on top of those that every run has."""
        source = data.description["source"]
        revision = {"dataset.revision": source["commit"]} if source["commit"] else {}  # a folder has none
        common = {
            "mlflow.source.type": "LOCAL",
            "mlflow.source.name": "pipelines/train.py",
            "dataset": dataset,
            "dataset.path": source["path"],
            "dataset.checksum": data.checksum,
            "task": data.task,
            **revision,
            **git_tags(),
        }
        return cls(dataset, name, config, overrides, common | tags, changed_code(), installed_packages())

    def save(self, folder: Path) -> None:
        """Write `folder`: config.json, packages.txt, and the rest in origin.json."""
        with whole_folder(folder) as work:
            write_json(work / "config.json", self.config)
            write_text(work / "packages.txt", "".join(f"{name}=={it}\n" for name, it in self.packages.items()))
            rest = ("dataset", "name", "overrides", "tags", "changed")
            write_json(work / "origin.json", {key: getattr(self, key) for key in rest})

    @classmethod
    def load(cls, folder: Path) -> "Origin":
        lines = (folder / "packages.txt").read_text(encoding="utf-8").splitlines()
        packages = {name: version for name, _, version in (line.partition("==") for line in lines)}
        return cls(config=read_json(folder / "config.json"), packages=packages, **read_json(folder / "origin.json"))

    def code_differences(self) -> list[str]:
        """In words, the files of code that hold something else now; conf/ is judged by what it composes to."""
        commit = self.tags.get(COMMIT)
        if commit is None:
            return ["code: the run names no commit, for it was trained outside a git repository"]
        try:
            files = differing_code(commit, self.changed)
        except ValueError as error:
            return [f"code: {error}"]
        return [f"code {file}" for file in files if not file.startswith("conf/")]

    def gone_on_with(self) -> "Origin":
        """Of the same training, now that the code as it is here goes on with it."""
        if COMMIT not in self.tags or not (found := self.code_differences()):
            return self
        return replace(self, tags=self.tags | {MIXED: ", ".join(found)})


def installed_packages() -> dict[str, str]:
    """Python, and every installed distribution, to its version, by name."""
    found = {}
    for package in distributions():
        with suppress(FileNotFoundError):  # a broken one has no name, or raises
            if package.name:
                found[package.name.lower()] = package.version
    return dict(sorted({"python": python_version(), **found}.items()))
