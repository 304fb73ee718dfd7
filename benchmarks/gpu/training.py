"""Whole training steps: tokens a second, kernels a step, the share of time that the GPU is busy, and precisions.

A step makes a batch as in training, copies it, and runs forward, loss, backward, clipping and AdamW, without Lightning.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from benchmarks.gpu.made_up import LABELS, batch_for, conll_like, imdb_like, to_device
from benchmarks.gpu.setting import Measurement, NotRun, Result, Setting, build, configuration
from unroll.data.batches import ShuffledBatches
from unroll.data.padding import Batch
from unroll.data.tokens import Task
from unroll.nn import SequenceModel

WARM_UP = 20  # steps
STEPS = 150  # that are timed
PROFILED = 10  # steps under PyTorch's profiler
WANTED = {32: 2e6, 128: 5e6}  # tokens a second of imdb, by batch size
IMDB_WORDS, CONLL_WORDS = 78_000, 21_000  # of the vocabularies


class Step:
    """A network, its optimizer, and a training step with a batch on the host."""

    def __init__(self, setting: Setting, model: str, task: Task, words: int, **sizes: int) -> None:
        torch.manual_seed(0)
        self.device = setting.device
        small = {"embedding_size": 4, "hidden_size": 4} if setting.is_small else {}
        labels = list(LABELS[task])
        self.network: SequenceModel = build(
            configuration(model) | sizes | small, vocabulary_size=words, alphabet_size=60, label_names=labels, task=task
        ).to(setting.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.001, fused=True)

    def __call__(self, batch: Batch[Tensor], autocast: bool = False) -> None:
        tokens, labels, _ = to_device(batch, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            loss = self.network.head.loss(self.network(tokens), labels, tokens.lengths)
        self.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()


def measurements(setting: Setting) -> Iterator[Measurement]:
    count, words = setting.size(WARM_UP + STEPS, 3), setting.size(IMDB_WORDS, 50)
    for size in (32, 128):
        title = f"imdb-like, bilstm, batch {size}"
        make: Callable[[], ShuffledBatches] = partial(
            imdb_like, count, setting.size(size, 2), words, setting.size(1000, 9)
        )
        step = partial(Step, setting, "bilstm", "classification", words)
        yield Measurement(title, partial(train, setting, title, step, make, WANTED[size]))
    words = setting.size(CONLL_WORDS, 50)
    for size in (32, 128):
        title = f"conll2003-like, bilstm_char_crf, batch {size}"
        make = partial(conll_like, count, setting.size(size, 2), words)
        step = partial(Step, setting, "bilstm_char_crf", "labeling", words)
        yield Measurement(title, partial(train, setting, title, step, make, None))


def train(
    setting: Setting,
    title: str,
    make_step: Callable[[], Step],
    make_batches: Callable[[], ShuffledBatches],
    wanted: float | None,
) -> Iterator[Result]:
    step, batches = make_step(), make_batches()
    batches.device = setting.device.type
    running = iter(batches)
    for batch in islice(running, setting.size(WARM_UP, 1)):
        step(batch)
    setting.wait()
    tokens, start = 0, time.perf_counter()
    for batch in running:
        step(batch)
        tokens += int(batch.tokens.lengths.sum())
    setting.wait()
    rate = tokens / (time.perf_counter() - start)
    yield Result(f"{title}, training", rate, "tokens/s", is_rate=True, wanted=wanted)
    if setting.device.type != "cuda":
        raise NotRun("kernels are counted on a GPU only")
    yield from profile(title, step, batches)


def profile(title: str, step: Step, batches: Iterable[Batch[Tensor]]) -> Iterator[Result]:
    """Kernels and copies of a step, and the share of the time in which at least one of them runs."""
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for batch in islice(batches, PROFILED):
            step(batch)
        torch.cuda.synchronize()
    spans = [(it.time_range.start, it.time_range.end) for it in profiler.events() if is_on_device(it)]
    if not spans:
        raise NotRun("PyTorch's profiler saw no kernel, it may not be allowed to trace this GPU")
    whole = max(end for _, end in spans) - min(start for start, _ in spans)
    yield Result(f"{title}, kernels and copies a step", len(spans) / PROFILED, "")
    yield Result(f"{title}, share of time with a kernel running", 100 * busy(spans) / whole, "%", wanted=80.0)


def is_on_device(event: Any) -> bool:
    """Whether a profiler's event is a kernel or a copy, not a named range around some."""
    return event.device_type.name == "CUDA" and not event.is_user_annotation


def busy(spans: Iterable[tuple[float, float]]) -> float:
    """The time that at least one of the spans covers; those of two streams overlap."""
    total, last = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total


def precisions(setting: Setting) -> Iterator[Measurement]:
    for hidden_size in (128, 512):
        title = f"bilstm of {hidden_size} units, training step, 32 × 230, bf16-mixed"
        yield Measurement(title, partial(mixed, setting, title, hidden_size))


def mixed(setting: Setting, title: str, hidden_size: int) -> Iterator[Result]:
    words = setting.size(10_000, 50)
    step = Step(setting, "bilstm", "classification", words, hidden_size=hidden_size)
    batch = batch_for("classification", setting.size(32, 2), setting.size(230, 5), words, seed=0)
    batch = to_device(batch, setting.device)
    times = setting.milliseconds(lambda: step(batch, autocast=True), lambda: step(batch))
    yield Result(title, times[0], "ms", "32-true", times[1], wanted=1.0)
