"""Error rates and power of the comparison of models, on simulated models, as a Markdown table.

    python -m benchmarks.significance [--simulations 4000]

Each line is for a metric, a number of seeds per model, and a standard deviation of a model's true score over seeds, in
points. Each cell is the percentage of simulated pairs that are significant at 5 %, with 500 / 2,000 test examples:

- examples alone: equally good models, by a test that ignores the variance over seeds;
- alike, unlike, uneven, baseline, single: equally good models, by the package's test. In `alike` both models find the
  same examples difficult, in `unlike` partly different ones; in `uneven` only one model's score varies over seeds; in
  `baseline` all runs of one model are equal; in `single` one model has a single run;
- power: models as in `alike`, with true scores 1, 2 or 4 points apart (a quarter of the pairs);
- margin: the second model is 1 point worse, and the registry's interval excludes that it is worse by more than that (a
  quarter of the pairs; the nominal rate is 2.5 at most).
"""

import argparse
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from unroll.statistics.comparison import cautious_interval, compare_counts
from unroll.statistics.variance_components import contributions, swap_variance

LEVEL = 0.05
SCORE = 0.8  # the true score of the first model
TASKS = {"accuracy": "classification", "F1": "labeling"}
KINDS = ("alike", "unlike", "uneven", "baseline", "single")
OF_SEEDS = KINDS[2:]  # those that need several runs
GAPS = (1.0, 2.0, 4.0)  # points
SIZES = (500, 2000)
SPURIOUS = 0.6  # probability that an entity that is not found correctly is found with an error


class Setting(NamedTuple):
    """Pairs of models to simulate; `sd` and `gap` are in points."""

    metric: str
    seeds: int
    examples: int
    sd: float
    kind: str = "alike"
    gap: float = 0.0


class Rates(NamedTuple):
    """Shares of significant pairs, by the test that ignores seeds and by the package's test."""

    examples_alone: float
    ours: float


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.significance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--simulations", type=int, default=4000)
    simulations = parser.parse_args().simulations
    header = ["metric", "seeds", "sd", "examples alone", *KINDS, *(f"power at {gap:.0f}" for gap in GAPS), "margin"]
    print(f"| {' | '.join(header)} |\n{'|---' * len(header)}|")
    lines = [(1, 0.0), *product((2, 3, 5), (0.0, 0.5, 1.5))]  # with one run each there is no variance over seeds
    for metric, (seeds, sd) in product(TASKS, lines):
        print(f"| {metric} | {seeds} | {sd} | {' | '.join(cells(metric, seeds, sd, simulations))} |", flush=True)


def cells(metric: str, seeds: int, sd: float, simulations: int) -> Iterator[str]:
    """The cells of a line."""
    for kind in KINDS:
        if seeds == 1 and kind in OF_SEEDS:
            yield ""
            continue
        results = [rates(Setting(metric, seeds, size, sd, kind), simulations) for size in SIZES]
        if kind == "alike":
            yield per_cent([one.examples_alone for one in results])
        yield per_cent([one.ours for one in results])
    for gap in GAPS:
        yield per_cent([rates(Setting(metric, seeds, n, sd, gap=gap), simulations // 4).ours for n in SIZES])
    yield per_cent([not_worse(Setting(metric, seeds, n, sd, gap=GAPS[0]), simulations // 4) for n in SIZES])


def per_cent(shares: list[float]) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares)


def rates(setting: Setting, simulations: int) -> Rates:
    significant = np.zeros(2)
    for first, second in simulated_pairs(setting, simulations):
        ours = compare_counts(first, second, TASKS[setting.metric], LEVEL).p_value
        significant += [examples_alone(first, second) < LEVEL, ours < LEVEL]
    return Rates(*(significant / simulations))


def not_worse(setting: Setting, simulations: int) -> float:
    """The share of pairs whose interval excludes that the second model is worse by more than the gap."""
    passed = 0
    for first, second in simulated_pairs(setting, simulations):
        low, _ = cautious_interval(second, first, TASKS[setting.metric], LEVEL)
        passed += low >= -setting.gap / 100
    return passed / simulations


def simulated_pairs(setting: Setting, simulations: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Counts of two models, (K, N, 3) each; they depend only on the setting."""
    generator = np.random.default_rng(list(repr(setting).encode()))
    for _ in range(simulations):
        first, second = simulate(setting, generator)
        yield first[:1] if setting.kind == "single" else first, second


def simulate(setting: Setting, generator: np.random.Generator) -> NDArray[np.int64]:
    """Simulate the runs of two models on the same examples.

    An item is a text (accuracy) or one of up to four entities of a sentence (F1). A run predicts it correctly if the
    run's skill is above the item's difficulty, a normal variable that is the sum of three components: one shared by
    all runs, one shared by the runs of a model, and one of the run alone.

    Returns:
        (2, K, N, 3): numbers of correct, predicted and true items of each model, run and example.
    """
    shape = (setting.examples, 1 if setting.metric == "accuracy" else 4)
    of_all, of_model = (0.8, 0.1) if setting.kind == "unlike" else (0.885, 0.02)
    difficulty = np.sqrt(of_all) * normal(generator, (1, 1, *shape))
    difficulty = difficulty + np.sqrt(of_model) * normal(generator, (2, 1, *shape))
    difficulty = difficulty + np.sqrt(1 - of_all - of_model) * normal(generator, (2, setting.seeds, *shape))

    spread = np.array([[0.0 if setting.kind in ("uneven", "baseline") else setting.sd], [setting.sd]]) / 100
    scores = SCORE - np.array([[0.0], [setting.gap]]) / 100 + spread * normal(generator, (2, setting.seeds))
    if setting.metric == "accuracy":
        right = difficulty < skill(scores)
        gold = found = np.ones_like(right)
    else:
        gold = np.broadcast_to(generator.random(shape) < 0.4, difficulty.shape)
        right = (difficulty < skill(found_share(scores))) & gold
        found = right | (gold & (generator.random(gold.shape) < SPURIOUS))
    counts = np.stack([part.sum(axis=-1) for part in (right, found, gold)], axis=-1)
    if setting.kind == "baseline":
        counts[0] = counts[0, 0]
    return counts


def found_share(f1: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share p of entities found correctly that gives this F1 = 2 p / (1 + p + SPURIOUS (1 - p))."""
    return f1 * (1 + SPURIOUS) / (2 - f1 * (1 - SPURIOUS))


def skill(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The skill that is above this share of the difficulties: (2, K) → (2, K, 1, 1)."""
    return np.asarray(stats.norm.ppf(shares))[:, :, None, None]


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return generator.standard_normal(shape, dtype=np.float32)


def examples_alone(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """The p-value of a permutation test that swaps the predictions, by its normal approximation."""
    one, other = contributions(first), contributions(second)
    return float(2 * stats.norm.sf(abs(one.mean() - other.mean()) / np.sqrt(swap_variance(one, other))))


if __name__ == "__main__":
    main()
