"""The folder of one run, ``models/DATASET/MODEL/SEED``: its files, its record, and which command makes each file again.

```
model/                weights and configuration                      } train
run.json              the record of the training                     }
history.csv           one row an epoch                               }
training/             what the training was made from                }
trained.json          its inputs, and checksums of the files above   }
metrics.json          test scores                                    } evaluate
classes.csv, confusion.csv, predictions.parquet, throughput.json     }
evaluated.json        its inputs, and checksums of the files above   }
checkpoints/          only while a training is under way, or was interrupted
```
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from unroll.files import read_json, sha256, whole_folder, write_json

T = TypeVar("T")
TRAINED = ("model", "run.json", "history.csv", "training")
STAMPS = ("trained.json", "evaluated.json")
EVALUATED = ("metrics.json", "classes.csv", "confusion.csv", "predictions.parquet", "throughput.json")


@dataclass(frozen=True)
class RunRecord:
    """What ``run.json`` says of a training.

    Args:
        run_id: of its MLflow run.
        monitor: the validation metric that chose the epoch.
        best_score: its best value, in 0..1.
        epochs: how many were trained; `best_epoch` counts from 1.
        parameters: trainable numbers of the model.
        size_bytes: of the model folder.
        seeded: whether another seed would give another model.
        microseconds_per_token: of inference on the validation split; None where it was not measured.
    """

    dataset: str
    task: str
    model: str
    seed: int
    run_id: str
    monitor: str
    best_score: float
    best_epoch: int
    epochs: int
    training_seconds: float
    parameters: int
    seeded: bool
    size_bytes: int
    microseconds_per_token: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Its numbers by name, as MLflow logs them; without the seed, which is a parameter."""
        numbers = {name: value for name, value in asdict(self).items() if type(value) in (int, float)}
        return {name: value for name, value in numbers.items() if name != "seed"}


_OPTIONAL = ("microseconds_per_token",)


@dataclass(frozen=True)
class RunFolder:
    """The files of one run; nothing is read before it is asked for."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def provenance(self) -> Path:
        return self.path / "training"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def classes(self) -> Path:
        return self.path / "classes.csv"

    @property
    def confusion(self) -> Path:
        return self.path / "confusion.csv"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.parquet"

    @property
    def throughput(self) -> Path:
        return self.path / "throughput.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def read_record(self) -> RunRecord:
        """Raises ValueError where the record is missing or damaged; names the command that makes it again."""
        names = [field.name for field in fields(RunRecord)]
        required = [name for name in names if name not in _OPTIONAL]
        content = self.read(self.record.name, partial(read_json, keys=required))
        return RunRecord(**{name: content[name] for name in names if name in content})

    def read(self, name: str, reader: Callable[[Path], T]) -> T:
        """What `reader` returns for one of the files.

        Raises:
            ValueError: the file is missing, or damaged so that `reader` fails; names the command that makes it again.
        """
        path = self.path / name
        if not path.is_file():
            raise self.missing(name)
        try:
            return reader(path)
        except (ValueError, LookupError, OSError) as error:
            reason = str(error).removeprefix(f"{path} is damaged: ")
            raise ValueError(f"{path} is damaged ({reason}): make it again with {self.command(name)}") from error

    def missing(self, name: str) -> ValueError:
        """The error for a file that is missing; names the command that makes it."""
        return ValueError(f"no run in {self.path} ({name} is missing): make it with {self.command(name)}")

    def write_record(self, record: RunRecord) -> None:
        write_json(self.record, {name: value for name, value in asdict(record).items() if value is not None})

    def command(self, name: str) -> str:
        """The command, in backquotes, that writes one of the files again; the path may hold MODEL and SEED for any."""
        dataset, model, seed = self.path.parts[-3:]
        trained = self.path.parent.parent.glob(f"{model}/{seed}/model".replace("MODEL", "*").replace("SEED", "*"))
        stages = ["evaluate"] if name in EVALUATED and any(trained) else ["train", "evaluate"]
        return " and ".join(f"`python pipelines/{it}.py dataset={dataset} model={model} seed={seed}`" for it in stages)

    def stamp_training(self, inputs: Mapping[str, str]) -> None:
        """Record what the training was made from, with checksums of the files that it left."""
        self._stamp("trained.json", inputs, TRAINED)

    def stamp_evaluation(self, inputs: Mapping[str, str]) -> None:
        """The same for an evaluation."""
        self._stamp("evaluated.json", inputs, EVALUATED)

    def is_trained(self, inputs: Mapping[str, str]) -> bool:
        """Whether the training was made from exactly these inputs, and every byte that it left is still there."""
        return self._is_current("trained.json", inputs, TRAINED)

    def is_evaluated(self, inputs: Mapping[str, str]) -> bool:
        """The same for the evaluation."""
        return self._is_current("evaluated.json", inputs, EVALUATED)

    def discard_evaluation(self) -> None:
        """Delete the results of an evaluation, which is one of another model, or about to be made again."""
        for name in ("evaluated.json", *EVALUATED):
            (self.path / name).unlink(missing_ok=True)

    def keep(self) -> None:
        """Keep the results, as hard links, in ``models/.kept``, where `take_back` finds them by the training's inputs.

        They stay there when others take their place, and when DVC checks out other outputs.
        """
        kept = self._kept(read_json(self.path / "trained.json", keys=("inputs",))["inputs"])
        with whole_folder(kept) as work:
            self._link(self.path, work)

    def take_back(self, inputs: Mapping[str, str]) -> bool:
        """Replace the results by those kept of these inputs; return False where none are, or they are damaged."""
        if not self.is_kept(inputs):
            return False
        for name in (*STAMPS, *EVALUATED, *TRAINED):  # the stamps first: without them, the rest counts for nothing
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        self._link(self._kept(inputs), self.path)
        return True

    def is_kept(self, inputs: Mapping[str, str]) -> bool:
        """Whether there are undamaged results of these inputs to take back."""
        return RunFolder(self._kept(inputs)).is_trained(inputs)

    def _kept(self, inputs: Mapping[str, str]) -> Path:
        key = hashlib.sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest()[:16]
        return self.path.parents[2] / ".kept" / Path(*self.path.parts[-3:]) / key

    @staticmethod
    def _link(source: Path, target: Path) -> None:
        """Link or copy all results, the stamps last."""
        for name in (*TRAINED, *EVALUATED, *STAMPS):
            if (source / name).is_dir():
                shutil.copytree(source / name, target / name, copy_function=_link_or_copy)
            elif (source / name).exists():
                _link_or_copy(source / name, target / name)

    def _stamp(self, name: str, inputs: Mapping[str, str], outputs: Sequence[str]) -> None:
        write_json(self.path / name, {"inputs": dict(inputs), "sha256": self._checksums(outputs)})

    def _is_current(self, name: str, inputs: Mapping[str, str], outputs: Sequence[str]) -> bool:
        if not (self.path / name).is_file():
            return False
        try:
            stamp: Any = read_json(self.path / name, keys=("inputs", "sha256"))
        except ValueError:
            return False
        return bool(stamp["inputs"] == dict(inputs) and stamp["sha256"] == self._checksums(outputs))

    def _checksums(self, outputs: Sequence[str]) -> dict[str, str]:
        """SHA-256 of every file among the outputs, by its path in the folder."""
        roots = [self.path / name for name in outputs]
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        return {str(file.relative_to(self.path)): sha256(file) for file in files if file.is_file()}


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
