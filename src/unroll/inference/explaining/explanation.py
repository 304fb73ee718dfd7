"""What `unroll.explain` finds out about one text, as arrays."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unroll.data.tokens import TOKEN_TASKS, Task

SMALLEST = 1e-30  # probability; below it, log-odds stay the same


@dataclass(frozen=True, eq=False)
class Explanation:
    """How a network reads a text of T tokens, with L labels.

    sᵢ is the vector that the head reads if the text ends at token i, and V sᵢ + c are its scores (logits). A network
    without a backward direction and with pooling `last` has one sᵢ for all longer texts: the state after token i.

    Args:
        task: the task of the model.
        label_names: the labels by id, L of them.
        tokens: what the model reads, T of them; subwords if it reads these.
        labels: ids of the labels that are explained: the most probable label (1,), or that of each token (T,), as the
            head decodes them.
        probabilities: of the whole text, (L,), or at every step, (T, L); those of a CRF are the marginals.
        prefix_scores: V sᵢ + c, (T, L).
        prefix_probabilities: of the text that ends at token i, (T, L); for labels of tokens, those of token i.
        contributions: V sᵢ, (T, L).
        state_changes: ‖sᵢ - sᵢ₋₁‖, (T,), where s₀ = 0.
        sensitivity: ‖∂y/∂xᵢ‖, where y is the explained label's score and xᵢ the vector of token i: its word, casing and
            characters. (T,), or for labels of tokens (T, T): row t has y of token t.
        influence: what hiding token i takes from the log-odds of a label, positive if the token speaks for it. (T, L),
            or for labels of tokens (T, T): row t has the label of token t. See `unroll.inference.explaining.occlusion`.
    """

    task: Task
    label_names: list[str]
    tokens: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    prefix_scores: np.ndarray
    prefix_probabilities: np.ndarray
    contributions: np.ndarray
    state_changes: np.ndarray
    sensitivity: np.ndarray
    influence: np.ndarray

    @property
    def is_per_token(self) -> bool:
        """Whether the model labels tokens."""
        return self.task in TOKEN_TASKS

    @cached_property
    def contribution_changes(self) -> np.ndarray:
        """V (sᵢ - sᵢ₋₁), (T, L): what token i adds to the scores; the sum over i is V s_T."""
        return np.diff(self.contributions, axis=0, prepend=0)

    @cached_property
    def prefix_log_odds(self) -> np.ndarray:
        """log p / (1 - p) of `prefix_probabilities`, (T, L)."""
        return log_odds(self.prefix_probabilities, self.task)


def log_odds(probabilities: np.ndarray, task: Task) -> np.ndarray:
    """Probabilities (…, L) → log p / (1 - p), in the same shape.

    Where one label excludes the others, 1 - p is the sum of their probabilities, which keeps its digits next to p = 1.
    """
    is_multilabel = task == "multilabel"
    others = 1 - probabilities if is_multilabel else probabilities @ (1 - np.eye(probabilities.shape[-1]))
    smallest = float(np.finfo(np.float64).eps) if is_multilabel else SMALLEST  # 1 - p has no more digits than eps
    result: np.ndarray = np.log(np.maximum(probabilities, smallest)) - np.log(np.maximum(others, smallest))
    return result
