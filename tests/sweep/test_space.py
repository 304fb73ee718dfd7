from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from tests.sweep.spaces import space

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "x=gru,lstm": CategoricalDistribution(["gru", "lstm"]),
    "x=choice(16,32)": CategoricalDistribution(["16", "32"]),
    "x=choice('a,b',c)": CategoricalDistribution([r"a\,b", "c"]),
    "x=range(1,10,3)": IntDistribution(1, 7, step=3),
    "x=range(3)": IntDistribution(0, 2),
    "x=range(0.5,1.5,0.5)": CategoricalDistribution(["0.5", "1.0"]),
    "x=interval(0.1,0.5)": FloatDistribution(0.1, 0.5),
    "x=tag(log,interval(1e-4,1e-2))": FloatDistribution(1e-4, 1e-2, log=True),
    "x=int(interval(8,64))": IntDistribution(8, 64),
    "x=tag(log,int(interval(8,64)))": IntDistribution(8, 64, log=True),
    "x=tag(log,range(8,65))": IntDistribution(8, 64, log=True),
}


@pytest.mark.parametrize("override", DISTRIBUTIONS)
def test_each_sweep_of_the_grammar_is_a_distribution(override: str) -> None:
    assert space(override).distributions == {"x": DISTRIBUTIONS[override]}


def test_what_does_not_vary_is_given_to_every_job() -> None:
    found = space("model=gru,lstm", "seed=3", "+extra='two words'", "~gone")
    assert found.fixed == ["seed=3", "+extra='two words'", "~gone"]


def test_of_two_overrides_for_a_key_the_later_one_counts() -> None:
    found = space("lr=interval(0.1,0.2)", "size=1,2", "lr=0.15")
    assert list(found.distributions) == ["size"]
    assert found.fixed == ["lr=0.15"]


def test_a_trials_values_are_overrides() -> None:
    found = space("model=gru,lstm", "seed=3", "lr=interval(0,1)", "size=range(1,9)")
    assert found.suggest(FixedTrial({"model": "lstm", "lr": 1e-05, "size": 4})) == [  # type: ignore[arg-type]
        "seed=3",
        "model=lstm",
        "lr=1e-05",
        "size=4",
    ]


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.booleans())
def test_every_value_that_is_drawn_is_read_back_by_hydra(first: float, second: float, is_log: bool) -> None:
    low, high = sorted((first, second))
    sweep = f"interval({low!r},{high!r})"
    found = space(f"x={f'tag(log,{sweep})' if is_log else sweep}")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    (override,) = OverridesParser.create().parse_overrides(found.suggest(study.ask()))
    value: Any = override.value()
    assert low <= float(value) <= high


def test_a_grid_has_every_value() -> None:
    assert space("a=x,y", "b=range(1,6,2)").grid() == {"a": ["x", "y"], "b": [1, 3, 5]}


def test_a_grid_of_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a=interval\(1,2\): an interval has no grid"):
        space("a=interval(1,2)").grid()


def test_the_corners_have_every_choice() -> None:
    assert space("a=x,y,z", "b=range(1,6)", "c=3").corners() == [
        ["c=3", "a=x", "b=1"],
        ["c=3", "a=y", "b=1"],
        ["c=3", "a=z", "b=1"],
    ]


@pytest.mark.parametrize("empty", ["x=interval(2,1)", "x=range(3,1)", "x=tag(log,interval(0,1))"])
def test_an_empty_space_is_named(empty: str) -> None:
    with pytest.raises(ValueError, match="an empty space") as error:
        space(empty)
    assert str(error.value).startswith(empty)


@pytest.mark.parametrize(
    "tagged",
    [
        "x=tag(lgo,interval(1,2))",
        "x=tag(log,choice(1,2))",
        "x=tag(log,range(8,64,8))",
        "x=tag(log,range(0.5,2.5))",
        "x=tag(log,shuffle(range(1,4)))",
    ],
)
def test_a_tag_that_says_nothing_is_refused(tagged: str) -> None:
    with pytest.raises(
        ValueError, match=r"tag (lgo|log) does not apply; accepted: tag\(log, …\) for an interval"
    ) as error:
        space(tagged)
    assert str(error.value).startswith(tagged)


@pytest.mark.parametrize("overrides", [[], ["a=1"]])
def test_a_sweep_over_nothing_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ValueError, match="nothing to sweep over"):
        space(*overrides)


def test_a_space_has_the_texts_that_were_given() -> None:
    text = "lr=tag(log,interval(0.1,0.2)) model=gru,lstm"
    values: Any = space(*text.split(" ")).texts()
    assert values == {"lr": "tag(log,interval(0.1,0.2))", "model": "gru,lstm"}
