"""Checks of single values; each error names the value and what is accepted."""

from collections.abc import Collection


def check_least(least: int, **values: float) -> None:
    """Raise ValueError if one of the values, given by name, is below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name}={value}; accepted: {least} or more")


def check_below_one(**values: float) -> None:
    """Raise ValueError if one of the values, given by name, is not in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value}; accepted: 0 to below 1")


def check_choice(name: str, value: str, accepted: Collection[str]) -> None:
    """Raise ValueError, which lists the choices, if the value is none of them."""
    if value not in accepted:
        raise ValueError(f"{name}={value!r}; accepted: {', '.join(accepted)}")
