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
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from unroll.files import read_json, sha256, write_json

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

    def set_aside(self) -> None:
        """Move the results of the training to ``models/.earlier``, where `take_back` finds them by their inputs."""
        if not (self.path / "trained.json").is_file():
            return
        inputs = read_json(self.path / "trained.json", keys=("inputs",))["inputs"]
        earlier = self._earlier(inputs)
        shutil.rmtree(earlier, ignore_errors=True)
        earlier.mkdir(parents=True)
        for name in (*STAMPS, *EVALUATED, *TRAINED):  # the stamps first: without them, the rest counts for nothing
            if (self.path / name).exists():
                (self.path / name).rename(earlier / name)

    def take_back(self, inputs: Mapping[str, str]) -> bool:
        """Bring back the results that `set_aside` kept of these inputs; return whether there are any, undamaged."""
        if not self.has_earlier(inputs):
            return False
        self.set_aside()
        earlier = self._earlier(inputs)
        for name in (*TRAINED, *EVALUATED, *STAMPS):
            if (earlier / name).exists():
                (earlier / name).rename(self.path / name)
        return True

    def has_earlier(self, inputs: Mapping[str, str]) -> bool:
        """Whether there are results of these inputs to take back."""
        return RunFolder(self._earlier(inputs)).is_trained(inputs)

    def _earlier(self, inputs: Mapping[str, str]) -> Path:
        key = hashlib.sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest()[:16]
        return self.path.parents[2] / ".earlier" / Path(*self.path.parts[-3:]) / key

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
