"""What the files of a sampler and a pruner may have become."""

from functools import partial
from typing import Any

import pytest
from optuna.pruners import NopPruner
from optuna.samplers import GridSampler, TPESampler

from unroll.sweep.sweeper import StudySweeper

CHOICES = {"hydra/sweeper/sampler": "tpe", "hydra/sweeper/pruner": "none"}
SAMPLER = partial(TPESampler, seed=0)


def check(sampler: Any, pruner: Any) -> None:
    StudySweeper(None, "", 1, 1, sampler, pruner, {})._check_parts(CHOICES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sampler", [{}, {"seed": 0}, TPESampler(0), partial(TPESampler), partial(TPESampler, seed=None), partial(print)]
)
def test_a_sampler_that_cannot_be_used_is_named_with_its_file(sampler: Any) -> None:
    with pytest.raises(ValueError, match=r"^hydra\.sweeper\.sampler cannot be used; .*/sampler/tpe"):
        check(sampler, NopPruner())


@pytest.mark.parametrize("pruner", [{}, {"n_startup_trials": 5}, None, partial(NopPruner)])
def test_a_pruner_that_cannot_be_used_is_named_with_its_file(pruner: Any) -> None:
    with pytest.raises(ValueError, match=r"^hydra\.sweeper\.pruner cannot be used; .*/pruner/none"):
        check(SAMPLER, pruner)


@pytest.mark.parametrize("sampler", [SAMPLER, partial(GridSampler, seed=0)])
def test_a_sampler_with_a_seed_and_a_pruner_are_accepted(sampler: Any) -> None:
    check(sampler, NopPruner())


def test_a_seed_that_a_sampler_does_not_take_is_named() -> None:
    with pytest.raises(ValueError, match=r"^hydra\.sweeper\.sampler\.seed=4294967296; accepted: a whole number from 0"):
        check(partial(TPESampler, seed=2**32), NopPruner())


def test_an_option_of_a_sampler_of_another_type_is_named() -> None:
    with pytest.raises(ValueError, match=r"^hydra\.sweeper\.sampler\.n_startup_trials='x': "):
        check(partial(TPESampler, seed=0, n_startup_trials="x"), NopPruner())
