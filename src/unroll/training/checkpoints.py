"""The folder ``checkpoints/`` of a run: what an interrupted training is resumed from."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.data.pretrained import pretrained_checksum
from unroll.exceptions import Pruned
from unroll.files import damaged_files, delete, json_digest, make_folder, read_mapping, write_json
from unroll.run_folder import RunFolder
from unroll.training.options import TrainOptions, without_device

BEST, LAST = "best.ckpt", "last.ckpt"  # the weights of the best epoch, and the state to resume from
IDENTITY, PROVENANCE = "identity.json", "training"  # what the checkpoints belong to, and their origin


def open_checkpoints(output: Path, data: PreparedData, parts: dict[str, Any], options: TrainOptions) -> Path:
    """Create and return the checkpoint folder of a run.

    Checkpoints of another configuration or other data are deleted, damaged ones are kept in ``checkpoints.damaged``.
    """
    identity: dict[str, Any] = {"parts": without_device(parts), "options": vars(options), "data": data.checksum}
    if options.pretrained is not None:
        identity["pretrained"] = pretrained_checksum(options.pretrained, data)
    folder = RunFolder(output).checkpoints
    record, run = folder / IDENTITY, folder / "run.json"
    if damaged := _damaged(folder):
        print(f"{output}: {damaged} is damaged, kept in {set_aside(output)}: starting over", flush=True)
    if run.exists() and "run_id" not in read_mapping(run):
        print(f"{output}: {run.name} of the checkpoints is damaged: continuing in a new MLflow run", flush=True)
        delete(run)
    before = read_mapping(record)
    if any(folder.glob("*")) and {**before, "sha256": ""} != {**identity, "sha256": ""}:
        changed = [key for key, value in vars(options).items() if before.get("options", {}).get(key, value) != value]
        named = f" ({', '.join(changed)})" if changed else ""
        print(f"{output}: deleting the checkpoints of another configuration or other data{named}", flush=True)
        for file in folder.glob("*"):
            delete(file)
    make_folder(folder)
    write_json(record, {**identity, "sha256": json_digest(identity)})
    return folder


def _damaged(folder: Path) -> str | None:
    """The first file of a checkpoint that is not what was written; None if there is no checkpoint."""
    if not (folder / LAST).exists():
        return None
    if not is_intact(folder / LAST):
        return LAST
    if not (folder / IDENTITY).exists():
        return None
    content = read_mapping(folder / IDENTITY)
    if not content or content.pop("sha256", None) not in (None, json_digest(content)):
        return IDENTITY
    return next((f"{PROVENANCE}/{name}" for name in damaged_files(folder / PROVENANCE)), None)


def is_intact(checkpoint: Path) -> bool:
    """Whether a checkpoint of PyTorch, which is a ZIP archive, has the content of its checksums."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except PermissionError:
        raise  # the content may be intact
    except (OSError, ValueError, NotImplementedError, EOFError, zipfile.BadZipFile):
        return False


def set_aside(output: Path) -> Path:
    """Rename the checkpoint folder of the run `output`, so that the training starts over; return its new path."""
    folder = RunFolder(output).checkpoints
    aside = folder.with_name(f"{folder.name}.damaged")
    delete(aside)
    return folder.rename(aside)


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
    shutil.rmtree(RunFolder(output).checkpoints, ignore_errors=True)
