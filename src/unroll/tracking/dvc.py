"""What DVC records about files: the stages that produce them, and whether these stages are up to date."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unroll.files import reason

LOCK_SECONDS = 600.0  # other DVC processes hold the lock between stages only; on a busy machine that can take long


@dataclass(frozen=True)
class Pipeline:
    """The state of a DVC pipeline."""

    stages: dict[Path, str]  # the stage that produces each file; a file that no stage produces has no entry
    stale: dict[str, list[str]]  # what has changed, for each of these stages and earlier ones that is not up to date
    lock: bytes | None  # the content of ``dvc.lock``, if there is one


def read_pipeline(paths: Sequence[Path]) -> Pipeline:
    """Find the stages that produce `paths`, or folders that contain them; may be called by a command that DVC runs.

    Waits while another process holds DVC's lock.

    Raises:
        ValueError: it held the lock for `LOCK_SECONDS`, or a file of DVC is damaged.
    """
    from dvc.config import ConfigError
    from dvc.exceptions import DvcException, NotDvcRepoError
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
        except ConfigError as error:
            cause = error.__cause__ if isinstance(error.__cause__, UnicodeDecodeError) else error
            raise ValueError(f"DVC cannot read .dvc/config ({reason(cause)}): restore it with git") from error
        except (DvcException, IsADirectoryError, UnicodeDecodeError) as error:
            raise ValueError(
                f"DVC cannot read the pipeline ({_text(error)}): restore .dvc/config and dvc.yaml with git; dvc.lock "
                "too, or `rm -r dvc.lock` and `dvc repro`, which trains only what is out of date"
            ) from error


def _text(error: Exception) -> str:
    return f"{error.filename}: {reason(error)}" if isinstance(error, OSError) else reason(error)


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
        stale = {stage: sorted(file for it in reasons for file in _files(it)) for stage, reasons in changes.items()}
        return Pipeline(stages, stale, lock.read_bytes() if lock.exists() else None)


def _files(reason: Any) -> list[str]:
    """The files of a reason like `{"changed deps": {FILE: …}}`, or the reason itself if it is not about files."""
    return [reason] if isinstance(reason, str) else [file for files in reason.values() for file in files]
