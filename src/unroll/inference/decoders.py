"""Labels and their posterior from the scores of an exported model; what the heads of `unroll.nn` do, in NumPy."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from unroll.data.tokens import Posterior
from unroll.inference.crf import CRF, softmax


class Decoder(Protocol):
    """Interface: scores (B, L) or (B, T, L) and lengths (B,) → labels, and their posterior in float64."""

    def labels(self, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray: ...

    def posterior(self, scores: np.ndarray, lengths: np.ndarray) -> Posterior[np.ndarray]: ...


class Softmax:
    """The most probable of the labels."""

    def labels(self, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return scores.argmax(axis=-1)

    def posterior(self, scores: np.ndarray, lengths: np.ndarray) -> Posterior[np.ndarray]:
        return Posterior(softmax(scores.astype(np.float64)))


class Sigmoid:
    """All labels with a probability above 0.5."""

    def labels(self, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return scores > 0

    def posterior(self, scores: np.ndarray, lengths: np.ndarray) -> Posterior[np.ndarray]:
        small = np.exp(-np.abs(scores.astype(np.float64)))  # does not overflow
        return Posterior(np.where(scores > 0, 1, small) / (1 + small))


class Chain:
    """The labels of the best path of a CRF, and its posterior."""

    def __init__(self, crf: CRF) -> None:
        self._crf = crf

    def labels(self, scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return self._crf.decode(scores, lengths)

    def posterior(self, scores: np.ndarray, lengths: np.ndarray) -> Posterior[np.ndarray]:
        return self._crf.posterior(scores, lengths)


_DECODERS: dict[str, Callable[[dict[str, Any]], Decoder]] = {
    "softmax": lambda _: Softmax(),
    "sigmoid": lambda _: Sigmoid(),
    "crf": lambda weights: Chain(CRF(**weights)),
}


def build_decoder(config: dict[str, Any]) -> Decoder:
    """The decoder of this `kind`, from an exported model's metadata; raises ValueError for an unknown one."""
    if config.get("kind") not in _DECODERS:
        raise ValueError(f"decoder {config.get('kind')!r}; accepted: {', '.join(_DECODERS)}")
    return _DECODERS[config["kind"]]({name: value for name, value in config.items() if name != "kind"})
