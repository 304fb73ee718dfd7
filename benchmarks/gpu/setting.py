"""Device, sizes and time of the measurements, and what they give."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.table import amount
from benchmarks.timing import Run, alternate, timed

CONF = Path(__file__).resolve().parents[2] / "conf" / "model"
STEPS = 10  # of a timing, between two waits for the device
SECONDS = 0.7  # of a row, at least


@dataclass(frozen=True)
class Result:
    """A line of the table: our value and another one, what ratio of the two is wanted, and a note.

    The ratio is how many times better ours is. `wanted` is a ratio, or our value where there is no other.
    """

    name: str
    ours: float
    unit: str
    other: str = ""
    theirs: float | None = None
    is_rate: bool = False
    wanted: float | None = None
    note: str = ""

    def line(self) -> str:
        theirs, ratio, wanted = "", "", ""
        if self.theirs is not None:
            theirs = amount(self.theirs, self.unit)
            ratio = f"{self.ours / self.theirs if self.is_rate else self.theirs / self.ours:.2f}"
        if self.wanted is not None:
            wanted = f"{self.wanted:.2f}" if ratio else amount(self.wanted, self.unit)
        ours = amount(self.ours, self.unit)
        return f"| {self.name} | {ours} | {theirs} | {self.other} | {ratio} | {wanted} | {self.note} |"


class NotRun(Exception):
    """A row that this machine cannot measure, and why."""


class Measurement(NamedTuple):
    """A name, for what is printed where it fails, and the measuring itself."""

    name: str
    rows: Callable[[], Iterable[Result]]


class Setting(NamedTuple):
    """The device; `is_small` gives sizes at which everything runs in seconds on a CPU."""

    device: torch.device
    is_small: bool

    def size(self, full: int, small: int) -> int:
        return small if self.is_small else full

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def milliseconds(self, *works: Callable[[], object]) -> list[float]:
        """The median times of the works, which run alternately, each several times before the device is waited for."""
        repeats = self.size(STEPS, 1)

        def run_of(work: Callable[[], object]) -> Run:
            def several() -> None:
                for _ in range(repeats):
                    work()
                self.wait()

            return timed(several, repeats)

        runs = [run_of(work) for work in works]
        return [1e3 * seconds for seconds in alternate(*runs, seconds=0 if self.is_small else SECONDS).seconds]

    @contextmanager
    def tf32(self, is_allowed: bool) -> Iterator[None]:
        """Compute products of float32 with 10 or with 23 bits, those of cuDNN too."""
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32 = cudnn.allow_tf32 = is_allowed
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before


def networks() -> list[str]:
    """The shipped models that are networks."""
    return [file.stem for file in sorted(CONF.glob("*.yaml")) if "_target_: unroll.nn." in file.read_text()]


def configuration(name: str) -> dict[str, Any]:
    """The content of conf/model/`name`.yaml."""
    import yaml

    content: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return content


def build(config: Any, **arguments: Any) -> Any:
    """What Hydra's `instantiate` builds of a configuration of a network."""
    if not isinstance(config, dict) or "_target_" not in config:
        return config
    module, _, name = config["_target_"].rpartition(".")
    target = getattr(import_module(module), name)
    settings = {key: build(value) for key, value in config.items() if key not in ("_target_", "_partial_")}
    if config.get("_partial_"):
        return lambda *values, **others: target(*values, **settings, **others)
    return target(**settings, **arguments)
