"""Joins the texts of concurrent requests into batches, which one thread predicts."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

log = logging.getLogger("unroll.server")

Text = str | Sequence[str]  # a text; a pair of texts, or a list of tokens
Predict = Callable[[list[Text]], list[dict[str, Any]]]

PADDING = 128  # tokens of padding that are cheaper than another call of the model
LONGEST_WAIT = 30  # seconds, in Retry-After


class Overloaded(Exception):
    """More texts wait than the model reads in a short time.

    Args:
        seconds: after which the client may try again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many texts wait for the model; try again in {seconds} s")
        self.seconds = seconds


class Job:
    """The texts of one request, and the model that is to predict all of them.

    Args:
        tokens: the estimated number of tokens of each text.
    """

    def __init__(
        self, predict: Predict, texts: list[Text], tokens: list[int], future: "asyncio.Future[list[Any]]"
    ) -> None:
        self.predict, self.texts, self.tokens, self.future = predict, texts, tokens, future
        self.taken = 0  # texts that a batch has taken
        self.answers: list[Any] = [None] * len(texts)
        self.missing = len(texts)


class _Taken(NamedTuple):
    """One text of a job."""

    job: Job
    position: int

    @property
    def tokens(self) -> int:
        return self.job.tokens[self.position]

    @property
    def text(self) -> Text:
        return self.job.texts[self.position]


class Batcher:
    """Predicts the texts of several requests at once.

    While the model reads a batch, the texts that arrive wait; the next batch takes one text of each waiting request in
    turn, so that a request of many texts does not hold up the others. Nothing waits for more texts to arrive.

    Args:
        batch_texts: texts of a batch.
        batch_tokens: tokens of a batch, unless a single text has more.
        max_queue: tokens that may wait. A request of more than a batch may fill half of it, so that there is room for
            short ones.
        observe: is called with the number of texts and the seconds of each call of a model.
    """

    def __init__(
        self,
        batch_texts: int,
        batch_tokens: int,
        max_queue: int,
        observe: Callable[[int, float], None] = lambda texts, seconds: None,
    ) -> None:
        self._observe = observe
        self._batch_texts, self._batch_tokens, self._max_queue = batch_texts, batch_tokens, max_queue
        self._waiting: deque[Job] = deque()  # jobs with texts that no batch has taken yet
        self._queued = 0  # tokens of jobs that are not answered
        self._is_running = False
        self._tokens_per_second = 10_000.0  # a moving average
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    @property
    def queued(self) -> int:
        """Tokens that wait for the model or are read by it."""
        return self._queued

    def submit(self, predict: Predict, texts: list[Text], tokens: list[int]) -> "asyncio.Future[list[Any]]":
        """The predictions of the texts, in their order, when they are made; may be cancelled.

        Args:
            predict: the model; is called in a thread of its own.
            tokens: the estimated number of tokens of each text.

        Raises:
            Overloaded: too many tokens wait.
        """
        total = sum(tokens)
        room = self._max_queue if total <= self._batch_tokens else self._max_queue // 2
        if self._queued and self._queued + total > room:
            seconds = self._queued / self._tokens_per_second
            raise Overloaded(min(LONGEST_WAIT, max(1, math.ceil(seconds))))
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._queued += total
        future.add_done_callback(lambda _: self._leave(total))
        self._waiting.append(Job(predict, texts, tokens, future))
        if not self._is_running:
            self._start()
        return future

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _leave(self, tokens: int) -> None:
        self._queued -= tokens

    def _start(self) -> None:
        """Give the thread a batch, if there is something to predict."""
        batch = self._take()
        self._is_running = bool(batch)
        if batch:
            self._thread.submit(self._run, asyncio.get_running_loop(), batch[0].job.predict, _groups(batch))

    def _take(self) -> list[_Taken]:
        """One text of each job in turn, up to the limits of a batch, and to the first job for another model."""
        batch: list[_Taken] = []
        tokens = 0
        while self._waiting and len(batch) < self._batch_texts:
            job = self._waiting[0]
            if job.future.done():  # the client has gone, or one of the texts has failed
                self._waiting.popleft()
                continue
            tokens += job.tokens[job.taken]
            if batch and (tokens > self._batch_tokens or job.predict != batch[0].job.predict):
                break
            batch.append(_Taken(job, job.taken))
            job.taken += 1
            self._waiting.popleft()
            if job.taken < len(job.texts):
                self._waiting.append(job)
        return batch

    def _run(self, loop: asyncio.AbstractEventLoop, predict: Predict, groups: list[list[_Taken]]) -> None:
        """Predict the groups; in the model's thread."""
        start, tokens = time.perf_counter(), 0
        for group in groups:
            answers = self._predict_group(predict, group)
            tokens += sum(it.tokens for it in group)
            loop.call_soon_threadsafe(_deliver, group, answers)
        seconds = time.perf_counter() - start
        loop.call_soon_threadsafe(self._end, tokens / max(seconds, 1e-6))

    def _predict_group(self, predict: Predict, group: list[_Taken]) -> list[Any]:
        """The answers, or the exceptions, of the texts. A text that makes the model fail fails alone."""
        start = time.perf_counter()
        try:
            answers: list[Any] = list(predict([it.text for it in group]))
        except Exception as error:
            if len(group) == 1:
                return [error]
            log.warning("a batch of %d texts failed (%r); each is tried alone", len(group), error)
            return [self._predict_group(predict, [it])[0] for it in group]
        self._observe(len(group), time.perf_counter() - start)
        return answers

    def _end(self, rate: float) -> None:
        self._tokens_per_second += 0.1 * (rate - self._tokens_per_second)
        self._start()


def _groups(batch: list[_Taken]) -> list[list[_Taken]]:
    """Divide a batch into groups of similar length, the shortest texts first, which are answered first too."""
    groups: list[list[_Taken]] = []
    padding = 0
    for taken in sorted(batch, key=lambda it: it.tokens):
        if groups:
            padding += len(groups[-1]) * (taken.tokens - groups[-1][-1].tokens)
        if not groups or padding > PADDING:
            groups.append([])
            padding = 0
        groups[-1].append(taken)
    return groups


def _deliver(group: list[_Taken], answers: list[Any]) -> None:
    for (job, position), answer in zip(group, answers, strict=True):
        if job.future.done():
            continue
        if isinstance(answer, Exception):
            job.future.set_exception(answer)
            continue
        job.answers[position] = answer
        job.missing -= 1
        if not job.missing:
            job.future.set_result(job.answers)
