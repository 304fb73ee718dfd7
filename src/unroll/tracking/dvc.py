"""What DVC records about files: the stages that produce them, and whether these stages are up to date."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK_SECONDS = 600.0  # other DVC processes hold the lock between stages only; on a busy machine that can take long


@dataclass(frozen=True)
class Pipeline:
    """The state of a DVC pipeline.

    Args:
        stages: the name of the stage that produces each file; a file that no stage produces has no entry.
        stale: for each of these stages and the stages before them that is not up to date, what has changed.
        lock: the content of ``dvc.lock``, or None if there is no such file.
    """

    stages: dict[Path, str]
    stale: dict[str, list[str]]
    lock: bytes | None


def read_pipeline(paths: Sequence[Path]) -> Pipeline:
    """Find the stages that produce `paths`; can be called from a command that DVC runs.

    A path belongs to the stage that declares it, or a folder that contains it, as an output. Waits while another
    process holds DVC's lock.

    Raises:
        ValueError: the lock is still held after `LOCK_SECONDS`.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.lock import LockError

    deadline, is_waiting = time.monotonic() + LOCK_SECONDS, False
    while True:
        try:
            return _query(paths)
        except NotDvcRepoError:
            return Pipeline({}, {}, None)
        except LockError as error:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"another DVC process has held DVC's lock for {LOCK_SECONDS:.0f} seconds; try again when it is done"
                ) from error
            if not is_waiting:
                print("waiting for another DVC process", flush=True)
            is_waiting = True


def _query(paths: Sequence[Path]) -> Pipeline:
    from dvc.exceptions import OutputNotFoundError
    from dvc.repo import Repo, lock_repo

    with Repo() as repo, lock_repo(repo):
        stages = {}
        for path in paths:
            try:
                (output,) = repo.find_outs_by_path(str(path), strict=False)  # the path or a folder above it
            except OutputNotFoundError:
                continue
            stages[path] = output.stage.addressing
        changes = repo.status(targets=sorted(set(stages.values())), with_deps=True) if stages else {}
        lock = Path(repo.root_dir) / "dvc.lock"
        return Pipeline(
            stages,
            {stage: sorted(_changed_files(reasons)) for stage, reasons in changes.items()},
            lock.read_bytes() if lock.exists() else None,
        )


def _changed_files(reasons: Iterable[Any]) -> Iterable[str]:
    """The files of `[{"changed deps": {FILE: …}}, …]`; a reason that is not about files is returned unchanged."""
    for reason in reasons:
        yield from [reason] if isinstance(reason, str) else [file for files in reason.values() for file in files]
