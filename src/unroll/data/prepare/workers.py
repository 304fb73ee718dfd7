"""Reads in several processes, in order and a few tasks ahead."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from joblib import Parallel, cpu_count
from joblib.externals.loky.process_executor import TerminatedWorkerError

T = TypeVar("T")
Task = tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]]  # as joblib's `delayed` makes it


def in_processes(tasks: Iterable[Task[T]], processes: int | None, is_little: bool) -> Iterator[T]:
    """The results of the tasks, in their order.

    Args:
        processes: None for one per core.
        is_little: whether there is so little to do that starting processes would take longer.

    Raises:
        ValueError: a process was killed.
    """
    workers = 1 if is_little else processes or cpu_count()
    results = Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2 * n_jobs", batch_size=1)(tasks)
    try:
        for result in results:  # noqa: UP028, `yield from` would close `results` while its warning is still on
            yield result
    except TerminatedWorkerError as error:
        raise ValueError(f"processes={processes}: a process was killed; accepted: fewer, if memory ran out") from error
    finally:
        # If the results are not wanted any more, because the disk is full, the error says enough.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\d+ tasks ", category=UserWarning)
            results.close()
