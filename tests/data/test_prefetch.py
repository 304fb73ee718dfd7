"""Batches that a thread makes ahead; what the thread does is ordered by events, not by time."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from tests.data.test_batches import make_split, many_lengths, order_of
from unroll.data import batches as batching
from unroll.data.batches import SequentialBatches, ShuffledBatches, collate
from unroll.data.prefetch import made_ahead, pinned

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU for page-locked memory")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("ahead", [0, 1, 3, 20])
def test_results_come_in_the_order_of_the_items(ahead: int) -> None:
    assert list(made_ahead(lambda i: i**2, range(10), ahead)) == [i**2 for i in range(10)]


def test_nothing_is_made_of_no_item() -> None:
    assert list(made_ahead(lambda i: i, [], 2)) == []


def test_results_are_made_in_a_thread_only_where_some_are_made_ahead() -> None:
    here = threading.current_thread()
    threads = [set(made_ahead(lambda _: threading.current_thread(), range(5), ahead)) for ahead in (0, 2)]
    assert threads[0] == {here}
    assert len(threads[1]) == 1
    assert here not in threads[1]


def test_a_result_is_made_while_the_one_before_is_used() -> None:
    made = [threading.Event() for _ in range(3)]
    results = made_ahead(lambda i: made[i].set(), range(3), ahead=1)
    next(results)
    assert made[1].wait(timeout=60)  # although nothing asks for it yet
    results.close()  # type: ignore[attr-defined]


def test_no_more_than_so_many_are_made_ahead() -> None:
    begun: list[int] = []
    for taken, _ in enumerate(made_ahead(lambda i: begun.append(i), range(30), ahead=2), start=1):
        assert len(begun) <= taken + 2
    assert begun == list(range(30))


def fail_at(index: int) -> Callable[[int], int]:
    def make(i: int) -> int:
        if i == index:
            raise OSError("damaged file")
        return i

    return make


@pytest.mark.parametrize("ahead", [0, 3])
def test_an_error_is_raised_where_its_result_would_come(ahead: int) -> None:
    found = []
    with pytest.raises(OSError, match="damaged file"):
        for i in made_ahead(fail_at(4), range(10), ahead):
            found.append(i)
    assert found == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_error_in_the_loop_ends_the_thread(error: type[BaseException]) -> None:
    made: list[int] = []
    with pytest.raises(error):
        for _ in made_ahead(lambda i: made.append(i), range(1000), ahead=2):
            raise error
    assert len(made) <= 4


def shuffled() -> ShuffledBatches:
    return ShuffledBatches(make_split(many_lengths(50)), 3, 4, characters=True)


@pytest.fixture
def ahead_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "AHEAD", {"cpu": 3})


def test_no_thread_makes_batches_for_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    monkeypatch.setattr(batching, "collate", lambda *_: threads.add(threading.current_thread()))
    for batches in (shuffled(), SequentialBatches(make_split([3, 2]), 1)):
        list(batches)
    assert threads == {threading.current_thread()}


def test_a_thread_makes_pinned_batches_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def made(*arguments: object) -> str:
        threads.add(threading.current_thread())
        return "batch"

    monkeypatch.setattr(batching, "collate", made)
    monkeypatch.setattr(batching, "pinned", lambda batch: f"pinned {batch}")
    for batches in (shuffled(), SequentialBatches(make_split([3, 2]), 1)):
        batches.device = "cuda"
        assert set(batches) == {"pinned batch"}
    assert threading.current_thread() not in threads


def test_batches_made_ahead_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def epochs() -> list[list[Tensor]]:
        batches, validation = shuffled(), SequentialBatches(make_split(many_lengths(20)), 4)
        return [list(flatten(batch)) for source in (batches, batches, validation) for batch in source]

    expected = epochs()
    monkeypatch.setattr(batching, "AHEAD", {"cpu": 3})
    for found, wanted in zip(epochs(), expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))


def flatten(part: object) -> Iterator[Tensor]:
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, tuple):
        for inner in part:
            yield from flatten(inner)


@pytest.mark.parametrize("used", range(14))  # of 13 batches an epoch
@pytest.mark.usefixtures("ahead_on_a_cpu")
def test_a_state_counts_the_batches_that_were_used_not_those_that_were_made(used: int) -> None:
    unbroken, broken, resumed = shuffled(), shuffled(), shuffled()
    expected = order_of(list(unbroken)) + order_of(list(unbroken))
    running = iter(broken)
    for _ in range(used):
        next(running)
    state = broken.state_dict()
    running.close()  # type: ignore[attr-defined]
    assert state == {"epoch": 0 if used else -1, "position": used}

    resumed.load_state_dict(state)
    found: list[list[int]] = []
    while len(found) < len(expected) - used:
        found += order_of(list(resumed))
    assert found == expected[used:]


def test_what_is_no_tensor_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor + 1)
    batch = collate(make_split([3, 2]), torch.tensor([0, 1]).numpy())
    found = pinned(batch)
    assert type(found) is type(batch)
    assert type(found.tokens) is type(batch.tokens)
    assert found.tokens.spelling is None
    assert torch.equal(found.tokens.words, batch.tokens.words + 1)
    assert torch.equal(found.labels, batch.labels + 1)


@needs_gpu
def test_a_batch_for_a_gpu_is_page_locked() -> None:
    batches = shuffled()
    batches.device = "cuda"
    assert all(tensor.is_pinned() for batch in batches for tensor in flatten(batch))
