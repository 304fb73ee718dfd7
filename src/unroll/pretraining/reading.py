"""How a language model reads documents: in windows, of which a batch has several of similar lengths."""

from typing import Any, Generic, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from unroll.checks import check_least
from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.encoding import TokenTable
from unroll.data.prefetch import pinned
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.tokens import PADDING, Array, Task, Tokens
from unroll.pretraining.softmax import Negatives, Sampler


class Targets(NamedTuple, Generic[Array]):
    """What one direction predicts: `words` (N,) from the outputs at `rows` (N,) of the B · T steps of a batch."""

    rows: Array
    words: Array


class Passage(NamedTuple, Generic[Array]):
    """A batch of B windows: their tokens, what the forward and the backward direction predict, and negatives."""

    tokens: Tokens[Array]
    forward: Targets[Array]
    backward: Targets[Array]
    negatives: Negatives[Array] | None


class Windows:
    """Divides documents into windows, and reads these.

    A state starts from zero at the beginning of a sequence, so that a document would have to be read at once: a batch
    would be as long as its longest document, and have few of them. Instead, a document is divided into the fewest
    equal parts of at most `window` tokens, and each part is read with up to `context` tokens on either side, from which
    nothing is predicted: the forward state starts that many tokens before the part, the backward state that many after
    it. Each token is predicted once in each direction, but for the first of a document forwards and its last backwards,
    which have nothing to be predicted from. Per part, up to 2 · `context` tokens are read in addition, at most
    2 · context / window of the time with long documents, and none with documents of up to `window` tokens.

    Args:
        table: the distinct tokens.
        documents: rows of `table`; those of a single token are left out.
    """

    task: Task = "tagging"  # one label per token, so that the batches of a step count by their tokens

    def __init__(self, table: TokenTable, documents: Ragged, window: int, context: int) -> None:
        check_least(4, window=window)  # a part has at least two tokens
        check_least(1, context=context)
        self._table, self._tokens = table, documents.values
        is_read = documents.lengths > 1
        begins, lengths = documents.offsets[:-1][is_read], documents.lengths[is_read]
        parts = -(-lengths // window)
        number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)  # of each part in its document
        length, count = np.repeat(lengths, parts), np.repeat(parts, parts)
        first, end = number * length // count, (number + 1) * length // count  # in the document
        start, stop = np.maximum(first - context, 0), np.minimum(end + context, length)
        self._starts = np.repeat(begins, parts) + start
        self._own = np.stack([first - start, end - start])  # the part within the window, (2, S)
        self.lengths = stop - start

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, index: np.ndarray) -> tuple[Tokens[np.ndarray], Targets[np.ndarray], Targets[np.ndarray]]:
        """The windows at the positions `index` (B,), padded on the right to T tokens, and what is predicted."""
        lengths, steps = self.lengths[index, None], np.arange(self.lengths[index].max())  # (B, 1), (T,)
        mask = steps < lengths  # (B, T)
        rows = np.where(mask, self._tokens[np.where(mask, self._starts[index, None] + steps, 0)], PADDING)
        words, casing = self._table.words[rows], self._table.casing[rows]
        first, end = self._own[:, index, None]
        is_own = (steps >= first) & (steps < end)
        forward, backward = np.flatnonzero(is_own & (steps > 0)), np.flatnonzero(is_own & (steps < lengths - 1))
        flat = words.ravel()
        tokens = Tokens(words, casing, self.lengths[index], None)
        return tokens, Targets(forward - 1, flat[forward]), Targets(backward + 1, flat[backward])


class _Reading(SequentialBatches):
    """Batches of windows; `drawing` draws the negatives of each batch."""

    drawing: Sampler | None = None  # Lightning takes what has a `sampler` for a DataLoader
    seeds: tuple[int, ...] = ()

    def _make(self, index: np.ndarray) -> Passage[Tensor]:  # type: ignore[override]
        windows = cast(Windows, self.split)
        seeds = [*self.seeds, int(index[0])]
        negatives = None if self.drawing is None else self.drawing.draw(np.random.default_rng(seeds))
        passage: Passage[Tensor] = _tensors(Passage(*windows.read(index), negatives))
        return pinned(passage) if self.device == "cuda" else passage


class ShuffledPassages(ShuffledBatches, _Reading):
    """Reads all windows once per epoch, in an order and with negatives that depend on `seed` and the epoch."""

    def __init__(self, windows: Windows, seed: int, batch_tokens: int, sampler: Sampler) -> None:
        super().__init__(cast(EncodedSplit, windows), seed, batch_tokens, batch_tokens)
        self.drawing = sampler

    def _make(self, index: np.ndarray) -> Passage[Tensor]:  # type: ignore[override]
        self.seeds = (self.seed, self._epoch)
        return _Reading._make(self, index)


class SequentialPassages(_Reading):
    """Reads all windows once, the shortest first, without negatives."""

    def __init__(self, windows: Windows, batch_tokens: int) -> None:
        super().__init__(cast(EncodedSplit, windows), batch_tokens, batch_tokens)


def _tensors(value: Any) -> Any:
    """The arrays of nested named tuples as tensors."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value if value is None else type(value)(*map(_tensors, value))
