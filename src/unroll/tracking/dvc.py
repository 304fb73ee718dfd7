"""What DVC says of files: which stages make them, and whether these are up to date."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK_SECONDS = 60.0  # another DVC process holds its lock between stages only


@dataclass(frozen=True)
class Pipeline:
    """What DVC said at one moment.

    Args:
        makers: the stage that makes each output; those that none makes are missing.
        stale: a stage that would run again, among these and those before them, and what changed for it.
        lock: the content of dvc.lock, where there is one.
    """

    makers: dict[Path, str]
    stale: dict[str, list[str]]
    lock: bytes | None


def read_pipeline(outputs: Sequence[Path]) -> Pipeline:
    """Ask DVC for the stages that make `outputs`; works within a stage that DVC runs.

    Raises:
        ValueError: another process does not let go of DVC's lock.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.lock import LockError

    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return _ask_dvc(outputs)
        except NotDvcRepoError:
            return Pipeline({}, {}, None)
        except LockError as error:
            if time.monotonic() > deadline:
                raise ValueError(f"another DVC process is busy here for {LOCK_SECONDS:.0f} s: try again") from error


def _ask_dvc(outputs: Sequence[Path]) -> Pipeline:
    from dvc.exceptions import OutputNotFoundError
    from dvc.repo import Repo, lock_repo

    with Repo() as repo, lock_repo(repo):
        makers = {}
        for output in outputs:
            with suppress(OutputNotFoundError):
                (found,) = repo.find_outs_by_path(str(output))
                makers[output] = found.stage.addressing
        changes = repo.status(targets=sorted(set(makers.values())), with_deps=True) if makers else {}
        lock = Path(repo.root_dir) / "dvc.lock"
        return Pipeline(
            makers,
            {stage: sorted(_changed(reasons)) for stage, reasons in changes.items()},
            lock.read_bytes() if lock.exists() else None,
        )


def _changed(reasons: Iterable[Any]) -> Iterable[str]:
    """The files of `[{"changed deps": {FILE: …}}, …]`; other reasons in DVC's own words."""
    for reason in reasons:
        yield from [reason] if isinstance(reason, str) else [file for files in reason.values() for file in files]
