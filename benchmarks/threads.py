"""Use of all cores: several single-threaded processes next to one process with a thread per core."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch
from joblib import cpu_count

from benchmarks.encoders import SIZE, draw_batch, step
from benchmarks.timing import Medians, Row, Run, alternate, rate_row, timed
from unroll.nn import LSTM, RecurrentEncoder

SHAPES = ((32, 30, 40), (32, 230, 6))  # sequences, time steps, training steps per repeat


def rows() -> Iterator[Row]:
    cores = cpu_count()
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        for shape in SHAPES:
            yield from compare(pool, cores, shape)


def compare(pool: ProcessPoolExecutor, cores: int, shape: tuple[int, int, int]) -> Iterator[Row]:
    size, steps, _ = shape
    runs = [side_by_side(pool, *choice, shape) for choice in ((cores, 1), (1, cores), (1, 1))]
    (processes, threads, single), repeats = alternate(*runs)
    title = f"bidirectional LSTM, training, {size} × {steps}: "
    side, threaded, plain = f"{cores} processes of 1 thread", f"1 process of {cores} threads", "1 process of 1 thread"
    yield rate_row(title + side, "sequences", threaded, Medians([processes, threads], repeats))
    yield rate_row(title + side, "sequences", plain, Medians([processes, single], repeats))
    yield rate_row(title + threaded, "sequences", plain, Medians([threads, single], repeats))


def side_by_side(pool: ProcessPoolExecutor, processes: int, threads: int, shape: tuple[int, int, int]) -> Run:
    """Several processes, each training its own network; the unit of work is a sequence."""
    size, _, repeats = shape
    task = partial(train, threads, shape)

    def run() -> None:
        for future in [pool.submit(task) for _ in range(processes)]:
            future.result()

    return timed(run, processes * size * repeats)


def train(threads: int, shape: tuple[int, int, int]) -> None:
    """Train a network on one batch."""
    torch.set_num_threads(threads)
    size, steps, repeats = shape
    network = RecurrentEncoder(SIZE, SIZE, LSTM, bidirectional=True)
    batch = draw_batch(size, steps, shortest=0.95)
    for _ in range(repeats):
        step(network, batch)
