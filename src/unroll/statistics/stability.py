"""The population stability index (PSI) of two samples, and its distribution when nothing has changed.

`reference` and `new` are the numbers of texts in each of B bins, (B,).
"""

import numpy as np
from scipy.stats import chi2

EMPTY = 0.5  # count of an empty bin, so that its logarithm is finite


def stability_index(reference: np.ndarray, new: np.ndarray) -> float:
    """PSI = Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ) of the shares p of `new` and q of `reference`.

    A bin that is empty in one sample counts as half a text there; bins that are empty in both are ignored.
    """
    occupied = reference + new > 0
    q, p = (np.maximum(counts[occupied], EMPTY) for counts in (reference, new))
    q, p = q / q.sum(), p / p.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def chance_quantile(reference: np.ndarray, new: np.ndarray, level: float) -> float:
    """The index that two samples of the same distribution exceed with probability `level`.

    Without drift, the index of m and n independent texts is approximately (1/n + 1/m) χ² with B − 1 degrees of freedom
    (Yurdakul 2018).
    """
    bins = np.count_nonzero(reference + new)
    return float((1 / new.sum() + 1 / reference.sum()) * chi2.isf(level, bins - 1)) if bins > 1 else 0.0


def decile_edges(values: np.ndarray) -> np.ndarray:
    """Increasing upper edges (B − 1,) of decile bins of (N,) values; the last bin has none. Equal deciles are merged.

    Where every decile equals the largest value, that value gets its own bin, between those for smaller and larger
    values.
    """
    largest = np.float64(values.max())
    edges = np.unique(np.quantile(values, np.arange(1, 10) / 10, method="higher")).astype(np.float64)
    below = edges[edges < largest]
    return below if len(below) else np.array([np.nextafter(largest, -np.inf), largest])


def count_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count the (N,) values in each bin (previous edge, edge]; (B,)."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
