"""Score against cost: the models that no other is better than at the same cost or a lower one."""

from typing import NamedTuple

import pandas as pd


class Cost(NamedTuple):
    """A column of the leaderboard, and what people call it."""

    column: str
    title: str
    more_is_cheaper: bool = False


COSTS = (
    Cost("parameters", "parameters"),
    Cost("size_bytes", "size on disk (bytes)"),
    Cost("training_seconds", "training time (s)"),
    Cost("tokens_per_second", "tokens/s on one core", more_is_cheaper=True),
)


def pareto_front(board: pd.DataFrame, score: str, cost: Cost) -> list[str]:
    """The models on the front, cheapest first; of equal ones all.

    A model is not on it if another scores at least as much and costs at most as much, and is better in one of the
    two. Without a score, as after a training that diverged, or without the cost, it never is.
    """
    prices = -board[cost.column] if cost.more_is_cheaper else board[cost.column]
    front = []
    for model, mine, price in zip(board["model"], board[score], prices, strict=True):
        no_worse = (board[score] >= mine) & (prices <= price)
        better = (board[score] > mine) | (prices < price)
        if pd.notna([mine, price]).all() and not (no_worse & better).any():
            front.append((price, model))
    return [model for _, model in sorted(front)]
