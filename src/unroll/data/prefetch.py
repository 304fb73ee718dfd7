"""Batches made by a thread while the device computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar, cast

from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")


def made_ahead(make: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """make(item) of each item in order, like `map`, with up to `ahead` results made in a thread before they are used.

    An error in `make` is raised where its result would have come. If the iterator is closed or deleted, for instance
    by an exception in the loop over it, no further result is made, and the thread ends.
    """
    if ahead < 1:
        yield from map(make, items)
        return
    waiting = iter(items)
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
    try:
        made: deque[Future[R]] = deque(thread.submit(make, item) for item in islice(waiting, ahead))
        while made:
            result = made.popleft().result()
            made.extend(thread.submit(make, item) for item in islice(waiting, 1))
            yield result
    finally:
        thread.shutdown(wait=True, cancel_futures=True)


def pinned(batch: T) -> T:
    """Copy the tensors of a batch, of nested named tuples, to page-locked memory, which goes to a GPU without waiting.

    From other memory the copy would first wait until the GPU has done all that it was given before.
    """
    if isinstance(batch, Tensor):
        return cast(T, batch.pin_memory())
    if isinstance(batch, tuple):
        return cast(T, type(batch)(*map(pinned, batch)))
    return batch
