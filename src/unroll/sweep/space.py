"""A search space in Hydra's override grammar, as Optuna's distributions, and a trial's values as overrides again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

if TYPE_CHECKING:  # Hydra imports its plugins in every command; Optuna is for those that sweep
    from optuna import Trial
    from optuna.distributions import BaseDistribution


class Space:
    """What a sweep varies, and what it gives to every job.

    Args:
        overrides: parsed; of two for the same key the later one counts.

    Attributes:
        swept: key to the override that says what may stand there: `choice(…)` or `a,b`, `range(…)`, `interval(…)`,
            with `tag(log, …)` for a logarithmic scale, of intervals and of ranges in steps of 1, and `int(…)` for whole
            numbers.
        fixed: the other overrides, as text.

    Raises:
        ValueError: nothing varies, a range or an interval is empty, or it has a tag that says nothing there.
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
        """Key to what may stand there, as it was given."""
        return {key: str(override.input_line).partition("=")[2] for key, override in self.swept.items()}

    def suggest(self, trial: "Trial") -> list[str]:
        """The job's overrides: what is fixed, then the values that the trial has or is given now."""
        values = {key: _suggest(trial, key, distribution) for key, distribution in self.distributions.items()}
        return [*self.fixed, *assignments(values)]

    def grid(self) -> dict[str, list[Any]]:
        """Key to all its values.

        Raises:
            ValueError: a key is drawn from an interval, which has no end of values.
        """
        from optuna.distributions import CategoricalDistribution, IntDistribution

        values: dict[str, list[Any]] = {}
        for key, one in self.distributions.items():
            if isinstance(one, CategoricalDistribution):
                values[key] = list(one.choices)
            elif isinstance(one, IntDistribution) and isinstance(self.swept[key].value(), RangeSweep):
                values[key] = list(range(one.low, one.high + 1, one.step))
            else:
                raise ValueError(f"{self}: a grid has no interval; accepted: choice(…), range(…) of whole numbers")
        return values

    def corners(self) -> list[list[str]]:
        """Overrides in which every choice occurs, and every number once: what a mistake would show in."""
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
    """Overrides that set these keys; choices are texts of the grammar already."""
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
    raise TypeError(f"{key}: no way to draw from {distribution}")


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
        raise ValueError(f"{override.input_line}: an empty space ({error}); accepted: a low below a high") from error


def _check_tags(text: str | None, value: Any) -> None:
    is_whole = isinstance(value, RangeSweep) and isinstance(value.start, int) and value.step == 1 and not value.shuffle
    accepted = {"log"} if isinstance(value, IntervalSweep) or is_whole else set()
    if unknown := sorted(value.tags - accepted):
        raise ValueError(
            f"{text}: no tag {', '.join(unknown)} here; accepted: tag(log, …) for an interval, "
            "and for a range of whole numbers in steps of 1"
        )
