"""The folder ``checkpoints/`` of a run: what an interrupted training is resumed from."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.exceptions import Pruned
from unroll.files import delete, read_json, write_json
from unroll.run_folder import RunFolder
from unroll.training.options import TrainOptions

BEST, LAST = "best.ckpt", "last.ckpt"  # the weights of the best epoch, and the state to resume from


def open_checkpoints(output: Path, data: PreparedData, parts: dict[str, Any], options: TrainOptions) -> Path:
    """Create and return the checkpoint folder of a run; checkpoints of another configuration or data are deleted."""
    identity = {"parts": parts, "options": vars(options), "data": data.checksum}
    folder = RunFolder(output).checkpoints
    record = folder / "identity.json"
    if any(folder.glob("*")) and not (record.exists() and read_json(record) == identity):
        print(f"{output}: deleting the checkpoints of another configuration or other data", flush=True)
        for file in folder.glob("*"):
            delete(file)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(record, identity)
    return folder


def is_interrupted(output: Path) -> bool:
    """Whether the run `output` has a checkpoint from which training can be resumed."""
    return (RunFolder(output).checkpoints / LAST).exists()


@contextmanager
def abandoned_without_checkpoint(output: Path) -> Iterator[None]:
    """Delete the checkpoint folder if the block raises and the training cannot be resumed, or was pruned."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Pruned) or not is_interrupted(output):
            discard_checkpoints(output)
        raise


def discard_checkpoints(output: Path) -> None:
    """Delete the checkpoint folder of the run `output`."""
    shutil.rmtree(RunFolder(output).checkpoints, ignore_errors=True)
