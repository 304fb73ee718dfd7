import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.inference.server.running import Lengths
from unroll.inference.server.batcher import Batcher, Overloaded

Work = Callable[[Batcher, Lengths], Awaitable[None]]


def run(work: Work, batch_texts: int = 4, batch_tokens: int = 100, max_queue: int = 1000) -> Lengths:
    """Run `work` with a batcher and a model whose gate is closed."""
    model = Lengths()

    async def main() -> None:
        batcher = Batcher(batch_texts, batch_tokens, max_queue)
        model.gate.clear()
        try:
            await work(batcher, model)
        finally:
            model.gate.set()
            batcher.close()

    asyncio.run(main())
    return model


async def begun(model: Lengths) -> None:
    await asyncio.to_thread(model.entered.wait)


def labels(answers: list[Any]) -> list[str]:
    return [answer["label"] for answer in answers]


def ends(**futures: "asyncio.Future[Any]") -> list[str]:
    """A list that receives the name of each future when it ends."""
    ended: list[str] = []
    for name, future in futures.items():
        future.add_done_callback(lambda _, name=name: ended.append(name))
    return ended


def test_texts_that_arrive_while_a_batch_runs_are_the_next_batch() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        first = batcher.submit(model.predict, ["a"], [1])
        await begun(model)
        others = [batcher.submit(model.predict, [text], [1]) for text in ("b", "c" * 10, "d")]
        model.gate.set()
        assert labels(await first) == ["short"]
        assert [labels(await it) for it in others] == [["short"], ["long"], ["short"]]

    assert run(work).batches == [["a"], ["b", "c" * 10, "d"]]


def test_answers_have_the_order_of_the_texts_in_any_division() -> None:
    texts = ["a" * (n % 13) or "b" for n in range(50)]

    async def work(batcher: Batcher, model: Lengths) -> None:
        model.gate.set()
        answers = await batcher.submit(model.predict, texts, [len(it) for it in texts])
        assert labels(answers) == ["long" if len(it) > 9 else "short" for it in texts]

    assert max(map(len, run(work).batches)) <= 4


def test_a_request_of_many_texts_does_not_hold_up_one_of_a_few() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        many = batcher.submit(model.predict, ["many"] * 40, [1] * 40)
        await begun(model)
        few = batcher.submit(model.predict, ["few"], [1])
        ended = ends(many=many, few=few)
        model.gate.set()
        await asyncio.gather(many, few)
        assert ended == ["few", "many"]

    assert "few" in run(work).batches[1]


def test_a_batch_has_no_more_tokens_than_allowed_unless_one_text_has() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        model.gate.set()
        await batcher.submit(model.predict, ["60", "50", "500", "40"], [60, 50, 500, 40])

    assert run(work).batches == [["60"], ["50"], ["500"], ["40"]]


def test_short_texts_are_answered_before_a_long_one_of_the_same_batch() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        first = batcher.submit(model.predict, ["a"], [1])
        await begun(model)
        long = batcher.submit(model.predict, ["long"], [5000])
        short = batcher.submit(model.predict, ["short"], [10])
        ended = ends(long=long, short=short)
        model.gate.set()
        await asyncio.gather(first, short, long)
        assert ended == ["short", "long"]

    assert run(work, batch_tokens=8000, max_queue=20_000).batches == [["a"], ["short"], ["long"]]


def test_a_full_queue_refuses_and_says_for_how_long() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        taken = [batcher.submit(model.predict, ["a"], [90]) for _ in range(11)]
        with pytest.raises(Overloaded) as refused:
            batcher.submit(model.predict, ["b"], [90])
        assert 1 <= refused.value.seconds <= 30
        model.gate.set()
        await asyncio.gather(*taken)
        assert labels(await batcher.submit(model.predict, ["b"], [90])) == ["short"]
        assert batcher.queued == 0

    run(work)


def test_large_requests_leave_room_for_small_ones() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        large = batcher.submit(model.predict, ["a"] * 4, [100] * 4)
        with pytest.raises(Overloaded):
            batcher.submit(model.predict, ["a"] * 4, [100] * 4)
        small = batcher.submit(model.predict, ["b"], [1])
        model.gate.set()
        await asyncio.gather(large, small)

    run(work)


def test_one_request_of_any_size_is_accepted_when_nothing_waits() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        model.gate.set()
        assert len(await batcher.submit(model.predict, ["a"] * 30, [100] * 30)) == 30

    run(work)


def test_a_text_that_breaks_the_model_fails_alone() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        first = batcher.submit(model.predict, ["a"], [1])
        await begun(model)
        others = [batcher.submit(model.predict, [text], [1]) for text in ("b", "broken", "c")]
        model.gate.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(it) for it in found] == [list, list, RuntimeError, list]
        assert batcher.queued == 0

    run(work)


def test_texts_of_a_client_that_has_gone_are_not_predicted() -> None:
    async def work(batcher: Batcher, model: Lengths) -> None:
        first = batcher.submit(model.predict, ["a"], [1])
        await begun(model)
        gone, other = (batcher.submit(model.predict, [text], [1]) for text in ("gone", "other"))
        gone.cancel()
        model.gate.set()
        await asyncio.gather(first, other)
        assert batcher.queued == 0

    assert run(work).batches == [["a"], ["other"]]


def test_all_texts_of_a_request_are_predicted_by_the_model_that_it_began_with() -> None:
    other = Lengths()

    async def work(batcher: Batcher, model: Lengths) -> None:
        first = batcher.submit(model.predict, ["a"] * 6, [1] * 6)
        await begun(model)
        second = batcher.submit(other.predict, ["b"] * 6, [1] * 6)
        model.gate.set()
        await asyncio.gather(first, second)

    assert {text for batch in run(work).batches for text in batch} == {"a"}
    assert {text for batch in other.batches for text in batch} == {"b"}
