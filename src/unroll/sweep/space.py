"""Conversion of search spaces in Hydra's override grammar to Optuna's distributions, and of values to overrides."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

if TYPE_CHECKING:  # every command imports this module, and Optuna is slow to import
    from optuna import Trial
    from optuna.distributions import BaseDistribution


class Space:
    """The search space of a sweep.

    Args:
        overrides: parsed overrides, swept and fixed; the last one of each key applies.

    Attributes:
        swept: key to its sweep override: `choice(…)` or `a,b`, `range(…)`, `interval(…)`; `int(interval(…))` for whole
            numbers; `tag(log, …)` for a logarithmic scale, with intervals and with integer ranges in steps of 1.
        fixed: the other overrides, as text.
        distributions: key to its Optuna distribution.

    Raises:
        ValueError: nothing is swept, a range or interval is empty, or a tag is unknown or does not apply.
    """

    def __init__(self, overrides: Sequence[Override]) -> None:
        last = {override.key_or_group: override for override in overrides}
        self.swept = {o.get_key_element(): o for o in last.values() if o.is_sweep_override()}
        self.fixed = [_text(o) for o in last.values() if not o.is_sweep_override()]
        if not self.swept:
            raise ValueError(
                "nothing to sweep over; accepted: key=a,b or key=choice(a,b), key=range(1,10), key=interval(0.1,0.5), "
                "on the command line, under hydra.sweeper.params, or in a file of conf/sweep"
            )
        self.distributions = {key: _distribution(override) for key, override in self.swept.items()}

    def texts(self) -> dict[str, str]:
        """Key to its sweep, as the user wrote it."""
        return {key: str(override.input_line).partition("=")[2] for key, override in self.swept.items()}

    def suggest(self, trial: "Trial") -> list[str]:
        """The job's overrides: the fixed ones, then the trial's values, which are drawn the first time."""
        values = {key: _suggest(trial, key, distribution) for key, distribution in self.distributions.items()}
        return [*self.fixed, *assignments(values)]

    def grid(self) -> dict[str, list[Any]]:
        """Key to the list of all its values.

        Raises:
            ValueError: a key is drawn from an interval.
        """
        from optuna.distributions import CategoricalDistribution, IntDistribution

        values: dict[str, list[Any]] = {}
        for key, one in self.distributions.items():
            if isinstance(one, CategoricalDistribution):
                values[key] = list(one.choices)
            elif isinstance(one, IntDistribution) and isinstance(self.swept[key].value(), RangeSweep):
                values[key] = list(range(one.low, one.high + 1, one.step))
            else:
                raise ValueError(f"{self}: an interval has no grid; accepted: choice(…), range(…) of whole numbers")
        return values

    def corners(self) -> list[list[str]]:
        """Overrides of a few jobs that together contain every choice and one value of every number, to check them."""
        from optuna.distributions import CategoricalDistribution

        first, others = {}, []
        for key, one in self.distributions.items():
            choices = list(one.choices) if isinstance(one, CategoricalDistribution) else [one.low]  # type: ignore[attr-defined]
            first[key] = choices[0]
            others += [{key: choice} for choice in choices[1:]]
        return [[*self.fixed, *assignments(first | other)] for other in [{}, *others]]

    def __str__(self) -> str:
        return " ".join(f"{key}={text}" for key, text in self.texts().items())


def assignments(values: dict[str, Any]) -> list[str]:
    """Overrides that set keys to values; a choice is already text in the override grammar."""
    return [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()]


def _suggest(trial: "Trial", key: str, distribution: "BaseDistribution") -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(key, distribution.choices)
        case IntDistribution():
            low, high, step, log = distribution.low, distribution.high, distribution.step, distribution.log
            return trial.suggest_int(key, low, high, step=step, log=log)
        case FloatDistribution():
            return trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)
    raise TypeError(f"{key}: unsupported distribution {distribution}")


def _text(override: Override) -> str:
    key = override.get_key_element()
    return key if override.is_delete() and override.value() is None else f"{key}={override.get_value_element_as_str()}"


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    _check_tags(override.input_line, value)
    log = "log" in value.tags
    try:
        if isinstance(value, IntervalSweep):
            start, end = value.start, value.end
            assert start is not None and end is not None
            if isinstance(start, int) and isinstance(end, int):
                return IntDistribution(start, end, log=log)
            return FloatDistribution(start, end, log=log)
        if isinstance(value, RangeSweep) and not value.shuffle:
            numbers = list(value.range())
            if all(isinstance(number, int) for number in numbers) and value.step > 0:
                return IntDistribution(numbers[0], numbers[-1], step=int(value.step), log=log)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{override.input_line}: an empty space ({error}); accepted: a lower bound below the upper bound"
        ) from error


def _check_tags(text: str | None, value: Any) -> None:
    is_whole = isinstance(value, RangeSweep) and isinstance(value.start, int) and value.step == 1 and not value.shuffle
    accepted = {"log"} if isinstance(value, IntervalSweep) or is_whole else set()
    if unknown := sorted(value.tags - accepted):
        raise ValueError(
            f"{text}: tag {', '.join(unknown)} does not apply; accepted: tag(log, …) for an interval "
            "or for a range of whole numbers in steps of 1"
        )
