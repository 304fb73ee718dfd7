"""Checks of single values; each error names the value and what is accepted."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from numbers import Integral

LARGEST_SEED = 2**32 - 1  # of NumPy's RandomState, which scikit-learn and Optuna draw from
SEEDS = f"from 0 to {LARGEST_SEED}"


def check_least(least: int, none: str | None = None, /, **values: float | None) -> None:
    """Raise ValueError if one of the values, given by name, is below `least`; `none` says what None stands for."""
    for name, value in values.items():
        if value is not None and not value >= least:  # NaN is neither
            null = f", or null for {none}" if none else ""
            raise ValueError(f"{name}={value}; accepted: {least} or more{null}")


def check_seed(name: str, seed: int) -> None:
    """Raise ValueError if a seed is one that a generator of random numbers does not take."""
    if not isinstance(seed, Integral) or not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"{name}={seed}; accepted: a whole number {SEEDS}")


def check_below_one(**values: float) -> None:
    """Raise ValueError if one of the values, given by name, is not in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value}; accepted: 0 to below 1")


def check_choice(name: str, value: str, accepted: Collection[str]) -> None:
    """Raise ValueError, which lists the choices, if the value is none of them."""
    if value not in accepted:
        raise ValueError(f"{name}={value!r}; accepted: {', '.join(accepted)}")


def check_name(where: str, value: object) -> None:
    """Raise ValueError unless the value is a name, which can be part of a path without leaving its folder."""
    if not re.fullmatch(r"\w[\w.+-]*", str(value)):
        raise ValueError(f"{where}={value!r}; accepted: a name of letters, digits and . _ + -, not with . + - first")


def first_names(names: list[str]) -> str:
    """At most 20 names, for messages."""
    return ", ".join(names if len(names) <= 20 else [*names[:20], f"and {len(names) - 20} more"])


def counted(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def closest(value: str, accepted: Collection[str]) -> str | None:
    """The accepted name that is most like a value, whatever the case of its letters; None if none is like it."""
    folded = {name.casefold(): name for name in accepted}
    close = get_close_matches(value.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def hint(value: str, accepted: Collection[str]) -> str:
    """The question after a wrong value, ``(did you mean 'lstm'?)``; empty if no accepted name is like it."""
    close = closest(value, accepted)
    return f" (did you mean {close!r}?)" if close else ""


def unknown_key(where: str, key: str, accepted: list[str]) -> str:
    """The message for an unknown configuration key, with the closest accepted key."""
    return f"{where}: unknown key{hint(key, accepted)}; accepted: {', '.join(accepted)}"


def missing_key(where: str, key: str, present: list[str]) -> str:
    """The message for a key that a configuration lacks, with the closest one that it has."""
    close = get_close_matches(key, present, n=1)
    return f"{where}: missing key{f' (similar: {close[0]})' if close else ''}"
