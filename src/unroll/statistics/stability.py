"""The population stability index of two samples, and how large chance alone makes it."""

import numpy as np
from scipy.stats import chi2

EMPTY = 0.5  # an empty bin counts as half a text: its logarithm must be finite


def stability_index(reference: np.ndarray, new: np.ndarray) -> float:
    """PSI = Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ) of the shares p of `new` and q of `reference`.

    reference, new: (B,) texts in each bin. A bin that is empty in one of them counts as half a text there; one that is
    empty in both is none.
    """
    occupied = reference + new > 0
    q, p = (_shares(np.maximum(counts[occupied], EMPTY)) for counts in (reference, new))
    return float(np.sum((p - q) * np.log(p / q)))


def chance_quantile(reference: np.ndarray, new: np.ndarray, level: float) -> float:
    """The index that two samples of one distribution exceed with probability `level`.

    reference, new: (B,) as above, of m and n texts. Without drift the index is about (1/n + 1/m) χ² with B − 1
    degrees of freedom (Yurdakul 2018), as long as the texts are independent.
    """
    bins = np.count_nonzero(reference + new)
    if bins < 2:
        return 0.0
    return float((1 / new.sum() + 1 / reference.sum()) * chi2.isf(level, bins - 1))


def decile_edges(reference: np.ndarray) -> np.ndarray:
    """The upper ends of all bins but the last, which has none; equal deciles are one.

    Where no decile is below the largest value, that has a bin of its own between the smaller and the larger.
    """
    largest = np.float64(reference.max())
    edges = np.unique(np.quantile(reference, np.arange(1, 10) / 10, method="higher")).astype(np.float64)
    below = edges[edges < largest]
    return below if len(below) else np.array([np.nextafter(largest, -np.inf), largest])


def count_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(N,) → (B,) how many values lie in each bin (previous edge, edge]."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def _shares(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = counts / counts.sum()
    return shares
