"""The folder of one run, ``models/DATASET/MODEL/SEED``: its files, its record, and the command that writes each file.

```
model/                weights and configuration                      } train
run.json              the record of the training                     }
history.csv           one row per epoch                              }
training/             the provenance of the training                 }
trained.json          its inputs, and checksums of the files above   }
metrics.json          test scores                                    } evaluate
classes.csv, confusion.csv, predictions.parquet, throughput.json     }
evaluated.json        its inputs, and checksums of the files above   }
checkpoints/          only during a training, or after it was interrupted
```
"""

from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, TypeVar

from unroll.files import delete, json_digest, link, read_json, read_mapping, reading, sha256, whole_folder, write_json

T = TypeVar("T")
TRAINED = ("model", "run.json", "history.csv", "training")
EVALUATED = ("metrics.json", "classes.csv", "confusion.csv", "predictions.parquet", "throughput.json")
STAMPS = ("trained.json", "evaluated.json")
State = Literal["trained", "evaluated"]
OUTPUTS: dict[State, tuple[str, ...]] = {"trained": TRAINED, "evaluated": EVALUATED}


@dataclass(frozen=True)
class RunRecord:
    """The content of ``run.json``: the record of a training.

    Args:
        run_id: of the MLflow run.
        monitor: the validation metric by which the best epoch is chosen.
        best_score: its value in the best epoch, in 0..1.
        epochs: number of trained epochs; `best_epoch` counts from 1.
        parameters: number of trained parameters.
        size_bytes: of the model folder.
        seeded: whether the model depends on the seed.
        microseconds_per_token: of prediction on the validation split, on the CPU; None if it was not measured.
        processes: number of processes that shared the batches; None for a baseline.
        sequences_per_step: maximum number of sequences in a step of the optimizer: the batch size times the processes
            times the accumulated batches; None for a baseline.
        device: that it was trained on, such as ``cpu`` or ``cuda (NVIDIA H100)``; None in records of earlier versions.
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
    device: str | None = None
    processes: int | None = None
    sequences_per_step: int | None = None

    @property
    def figures(self) -> dict[str, float]:
        """The numbers by name, as MLflow logs them; without the seed, which is a parameter."""
        return {name: value for name, value in vars(self).items() if type(value) in (int, float) and name != "seed"}


@dataclass
class RunFolder:
    """The files of one run; each is read only when it is needed."""

    path: Path

    def __post_init__(self) -> None:
        path = self.path
        self.model, self.provenance, self.checkpoints = path / "model", path / "training", path / "checkpoints"
        self.record, self.history = path / "run.json", path / "history.csv"
        self.metrics, self.throughput = path / "metrics.json", path / "throughput.json"
        self.classes, self.confusion = path / "classes.csv", path / "confusion.csv"
        self.predictions = path / "predictions.parquet"

    def read_record(self) -> RunRecord:
        """Read ``run.json``; raises ValueError as `read` does."""
        required = [field.name for field in fields(RunRecord) if field.default is MISSING]
        content = self.read(self.record.name, partial(read_json, keys=required))
        return RunRecord(**{field.name: content[field.name] for field in fields(RunRecord) if field.name in content})

    def read(self, name: str, reader: Callable[[Path], T]) -> T:
        """Read one of the files with `reader`.

        Raises:
            ValueError: the file is missing or not what was written, or `reader` fails; the message contains the command
                that writes the file.
        """
        path = self.path / name
        if not path.is_file():
            raise self.missing(name)
        with reading(path, f"recreate it with {self.command(name)}"):
            if self._recorded.get(name) not in (None, sha256(path)):
                stamp = "evaluated.json" if name in EVALUATED else "trained.json"
                raise ValueError(f"its checksum is not that in {stamp}")
            return reader(path)

    def missing(self, name: str) -> ValueError:
        """The error for a missing file, with the command that writes it."""
        return ValueError(f"no run in {self.path} ({name} is missing): create it with {self.command(name)}")

    def write_record(self, record: RunRecord) -> None:
        write_json(self.record, {name: value for name, value in asdict(record).items() if value is not None})

    def command(self, name: str) -> str:
        """The command, in backquotes, that writes one of the files; the path may contain MODEL and SEED for any."""
        dataset, model, seed = self.path.absolute().parts[-3:]
        trained = self.path.parent.parent.glob(f"{model}/{seed}/model".replace("MODEL", "*").replace("SEED", "*"))
        stages = ["evaluate"] if name in EVALUATED and any(trained) else ["train", "evaluate"]
        return " and ".join(f"`python pipelines/{it}.py dataset={dataset} model={model} seed={seed}`" for it in stages)

    def stamp(self, state: State, inputs: dict[str, str]) -> None:
        """Record the inputs of the training or evaluation, with checksums of its output files."""
        write_json(self.path / f"{state}.json", {"inputs": inputs, "sha256": self._checksums(state)})

    def inputs(self, state: State) -> dict[str, str] | None:
        """The recorded inputs of the training or evaluation; None if there are none."""
        inputs = read_mapping(self.path / f"{state}.json").get("inputs")
        return inputs if isinstance(inputs, dict) else None

    def is_current(self, state: State, inputs: dict[str, str]) -> bool:
        """Whether the training or evaluation had exactly these inputs, and its output files are unchanged."""
        stamp = read_mapping(self.path / f"{state}.json")
        return stamp.get("inputs") == inputs and stamp.get("sha256") == self._checksums(state)

    def discard_evaluation(self) -> None:
        for name in ("evaluated.json", *EVALUATED):
            delete(self.path / name)

    def keep(self) -> None:
        """Link the results into ``models/.kept``, where `take_back` finds them by the inputs of the training."""
        kept = self._kept(read_json(self.path / "trained.json", keys=("inputs",))["inputs"])
        with whole_folder(kept) as work:
            self._link(self.path, work)

    def take_back(self, inputs: dict[str, str]) -> bool:
        """Restore the results that `keep` stored for these inputs; return False if they are missing or damaged."""
        if not self.is_kept(inputs):
            return False
        for name in (*STAMPS, *EVALUATED, *TRAINED):  # the stamps first: without them, the other files are not used
            delete(self.path / name)
        self.path.mkdir(parents=True, exist_ok=True)
        self._link(self._kept(inputs), self.path)
        return True

    def is_kept(self, inputs: dict[str, str]) -> bool:
        """Whether `take_back` can restore results for these inputs."""
        return RunFolder(self._kept(inputs)).is_current("trained", inputs)

    def _kept(self, inputs: dict[str, str]) -> Path:
        return self.path.parents[2] / ".kept" / Path(*self.path.parts[-3:]) / json_digest(inputs)[:16]

    @staticmethod
    def _link(source: Path, target: Path) -> None:
        """Link or copy all results, the stamps last."""
        for name in (*TRAINED, *EVALUATED, *STAMPS):
            if (source / name).exists():
                link(source / name, target / name)

    @cached_property
    def _recorded(self) -> dict[str, str]:
        """The checksums in the stamps; empty for runs without stamps."""
        recorded: dict[str, str] = {}
        for stamp in (self.path / name for name in STAMPS):
            if stamp.exists():
                checksums = read_json(stamp, keys=("sha256",))["sha256"]
                if not isinstance(checksums, dict):
                    raise ValueError(f"{stamp} is damaged: no checksums")
                recorded |= checksums
        return recorded

    def _checksums(self, state: State) -> dict[str, str]:
        """SHA-256 of every output file, by its path in the folder."""
        roots = [self.path / name for name in OUTPUTS[state]]
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        return {str(file.relative_to(self.path)): sha256(file) for file in files if file.is_file()}
