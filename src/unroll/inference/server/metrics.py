"""What the server counts, in the format of Prometheus; summed over the workers if there is a folder for them."""

import os
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("unroll_requests", "Answered requests.", "path", "status")
        self._answered = cache(self._requests.labels)
        self._seconds = self._histogram("unroll_predict_seconds", "Time from a request to its answer.", _SECONDS)
        self._texts = self._counter("unroll_texts", "Predicted texts.")
        self._batch_texts = self._histogram("unroll_batch_texts", "Texts that the model read at once.", _TEXTS)
        self._batch_seconds = self._histogram("unroll_batch_seconds", "Time of the model for them.", _SECONDS)
        self._waiting = self._gauge("unroll_waiting_tokens", "Tokens (estimated) that wait for the model.")
        self._connections = self._gauge("unroll_connections", "Open connections.")
        self._models = self._gauge("unroll_model_workers", "Workers that serve this version.", "name", "version")
        self._failures = self._counter("unroll_model_load_failures", "New versions that a worker could not load.")

    def answered(self, path: str, status: int, seconds: float) -> None:
        self._answered(path, status).inc()
        if path == "/predict":
            self._seconds.observe(seconds)

    def predicted(self, texts: int, seconds: float) -> None:
        self._texts.inc(texts)
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def load(self, waiting: int, connections: int) -> None:
        self._waiting.set(waiting)
        self._connections.set(connections)

    def serves(self, name: str, version: str, is_served: bool = True) -> None:
        self._models.labels(name, version).set(int(is_served))

    def could_not_load(self) -> None:
        self._failures.inc()

    def page(self) -> bytes:
        """The metrics of all workers, as text."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)
        return generate_latest(everyone)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self._registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self._registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, what, registry=self._registry, buckets=buckets)


def forget_worker(process: int, folder: Path) -> None:
    """Drop the gauges of a worker that has ended; its counters stay."""
    mark_process_dead(process, str(folder))
