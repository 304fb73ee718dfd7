"""Conversion of search spaces in Hydra's override grammar to Optuna's distributions, and of values to overrides."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


class Space:
    """The search space of a sweep: for each key `choice(…)` or `a,b`, `range(…)`, or `interval(…)`.

    `int(interval(…))` stands for whole numbers, and `tag(log, …)` for a logarithmic scale, with intervals and with
    integer ranges in steps of 1. Of several overrides for a key the last one applies.

    Raises:
        ValueError: nothing is swept, a range or interval is empty, or a tag is unknown or does not apply.
    """

    def __init__(self, overrides: Sequence[Override]) -> None:
        last = {override.key_or_group: override for override in overrides}
        self.swept = {o.get_key_element(): o for o in last.values() if o.is_sweep_override()}
        self.fixed = [_text(o) for o in last.values() if not o.is_sweep_override()]  # the other overrides
        if not self.swept:
            raise ValueError(
                "nothing to sweep over; accepted: key=a,b or key=choice(a,b), key=range(1,10), key=interval(0.1,0.5), "
                "on the command line, under hydra.sweeper.params, or in a file of conf/sweep"
            )
        self.distributions = {key: _distribution(override) for key, override in self.swept.items()}

    def texts(self) -> dict[str, str]:
        """Key to its sweep, as the user wrote it."""
        return {key: str(override.input_line).partition("=")[2] for key, override in self.swept.items()}

    def suggest(self, trial: Trial) -> list[str]:
        """The job's overrides: the fixed ones, then the trial's values, which are drawn the first time."""
        values = {key: trial._suggest(key, distribution) for key, distribution in self.distributions.items()}
        return [*self.fixed, *assignments(values)]

    def grid(self) -> dict[str, list[Any]]:
        """Key to the list of all its values; raises ValueError if a key is drawn from an interval."""
        values: dict[str, list[Any]] = {}
        for key, override in self.swept.items():
            sweep: Any = override.value()
            if isinstance(sweep, IntervalSweep):
                raise ValueError(
                    f"{override.input_line}: an interval has no grid; accepted: choice(…), range(…) of whole numbers"
                )
            one = self.distributions[key]
            values[key] = list(one.choices if isinstance(one, CategoricalDistribution) else sweep.range())
        return values

    def corners(self) -> list[list[str]]:
        """Overrides of a few jobs that together contain every choice and one value of every number, to check them."""
        first, others = {}, []
        for key, one in self.distributions.items():
            choices = list(one.choices) if isinstance(one, CategoricalDistribution) else [one.low]  # type: ignore[attr-defined]
            first[key] = choices[0]
            others += [{key: choice} for choice in choices[1:]]
        return [[*self.fixed, *assignments(first | other)] for other in [{}, *others]]


def assignments(values: dict[str, Any]) -> list[str]:
    """Overrides that set keys to values; a choice is already text in the override grammar."""
    return [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()]


def _text(override: Override) -> str:
    key = override.get_key_element()
    return key if override.is_delete() and override.value() is None else f"{key}={override.get_value_element_as_str()}"


def _distribution(override: Override) -> BaseDistribution:
    sweep: Any = override.value()
    has_steps = isinstance(sweep, RangeSweep) and not sweep.shuffle
    may_be_log = isinstance(sweep, IntervalSweep) or (has_steps and isinstance(sweep.start, int) and sweep.step == 1)
    if unknown := sorted(sweep.tags - ({"log"} if may_be_log else set())):
        raise ValueError(
            f"{override.input_line}: tag {', '.join(unknown)} does not apply; accepted: tag(log, …) for an interval "
            "or for a range of whole numbers in steps of 1"
        )
    log = "log" in sweep.tags
    try:
        if isinstance(sweep, IntervalSweep):
            is_int = isinstance(sweep.start, int) and isinstance(sweep.end, int)
            return (IntDistribution if is_int else FloatDistribution)(sweep.start, sweep.end, log=log)  # type: ignore[arg-type]
        if has_steps and sweep.step > 0 and all(isinstance(number, int) for number in sweep.range()):
            numbers = list(sweep.range())
            return IntDistribution(numbers[0], numbers[-1], step=int(sweep.step), log=log)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{override.input_line}: an empty space ({error}); accepted: a lower bound below the upper bound"
        ) from error
