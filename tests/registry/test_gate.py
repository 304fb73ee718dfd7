from typing import Any

import numpy as np
import pandas as pd
import pytest

from unroll.evaluation.example_counts import counts_of_runs
from unroll.evaluation.pairs import compare_predictions
from unroll.registry import gate
from unroll.registry.gate import Contender, Decision, Gate, decide

GATE = Gate(level=0.05, margin=0.01, cheaper_by=0.1, cost="parameters")
EXAMPLES = 2000


def predictions(wrong: int, first: int = 0, examples: int = EXAMPLES) -> list[pd.DataFrame]:
    """Predictions of one seed with errors on `wrong` examples, starting at `first`."""
    rows = np.arange(examples)
    errs = (rows >= first) & (rows < first + wrong)
    table = pd.DataFrame({"row": rows, "label": "yes", "predicted": np.where(errs, "no", "yes")})
    return [table]


CHAMPION = Contender("version 3 (gru)", predictions(wrong=200), cost=1000)


def against_champion(wrong: int, cost: float = 1000, first: int = 0, gate: Gate = GATE) -> Decision:
    return decide(Contender("lstm", predictions(wrong, first), cost), CHAMPION, "classification", gate)


def test_a_better_one_wins_whatever_it_costs() -> None:
    decision = against_champion(wrong=150, cost=9000)
    assert decision.wins
    assert decision.reason.startswith("lstm is better than version 3 (gru): test accuracy 92.50 % against 90.00 %")
    assert "a difference of +2.50 points (95 % interval +" in decision.reason


def test_the_figures_are_those_of_the_paired_test() -> None:
    decision = against_champion(wrong=150, cost=9000)
    found = compare_predictions(predictions(150), CHAMPION.predictions, "classification", 0.05)
    assert decision.figures == {
        "score": found.first_score,
        "champion_score": found.second_score,
        "difference": found.difference,
        "low": pytest.approx(found.low, abs=0.002),
        "high": pytest.approx(found.high, abs=0.002),
        "p_value": found.p_value,
        "level": 0.05,
        "parameters": 9000,
        "champion_parameters": 1000,
    }
    assert decision.figures["score"] == 0.925


def test_examples_that_differ_are_an_error_that_names_the_models() -> None:
    challenger = Contender("lstm", predictions(wrong=1, examples=10), cost=1000)
    with pytest.raises(ValueError, match=r"version 3 \(gru\) and lstm were not scored on the same test examples"):
        decide(challenger, CHAMPION, "classification", GATE)


def test_the_predictions_of_each_run_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    monkeypatch.setattr(
        gate, "counts_of_runs", lambda runs, task: counted.append(len(runs)) or counts_of_runs(runs, task)
    )
    against_champion(wrong=150)
    assert counted == [1, 1]


def test_a_difference_that_chance_can_give_is_none() -> None:
    """One error less in total, but on other examples."""
    decision = against_champion(wrong=199, first=200)
    assert not decision.wins
    assert decision.reason.startswith(
        "lstm is not better than version 3 (gru), and may be worse by more than 1.0 points: "
    )


def test_an_equal_one_wins_if_it_is_cheaper_by_the_share() -> None:
    assert against_champion(wrong=200, cost=900).wins
    expected = (
        "not worse by more than 1.0 points than version 3 (gru), and cheaper (900 parameters against 1,000 parameters)"
    )
    assert expected in against_champion(wrong=200, cost=900).reason
    decision = against_champion(wrong=200, cost=901)
    assert not decision.wins
    assert "is neither better than version 3 (gru) nor cheaper (901 parameters against" in decision.reason


def test_a_cheaper_one_that_may_be_worse_than_the_margin_does_not_win() -> None:
    """As many errors, half of them on other examples: the lower bound of the difference is -1.4 points."""
    assert not against_champion(wrong=200, first=100, cost=10).wins
    assert against_champion(wrong=200, first=100, cost=10, gate=Gate(0.05, 0.02, 0.1, "parameters")).wins


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("wrong", [0, 1])
def test_few_examples_do_not_prove_that_a_cheaper_one_is_as_good(wrong: int, seeds: int) -> None:
    """Equal predictions for 20 texts do not exclude a difference of a point; for 2,000 they do."""
    small = [
        Contender(name, predictions(wrong, examples=20) * seeds, cost) for name, cost in (("new", 10), ("old", 99))
    ]
    assert not decide(*small, "classification", GATE).wins
    large = [Contender(name, predictions(wrong) * seeds, cost) for name, cost in (("new", 10), ("old", 99))]
    assert decide(*large, "classification", GATE).wins


def test_equal_predictions_of_other_numbers_of_seeds_are_not_better() -> None:
    table = pd.DataFrame(
        {"row": range(30), "label": [["B-X", "O"]] * 30, "predicted": [["B-X", "B-X"], ["B-X", "O"]] * 15}
    )
    decision = decide(Contender("new", [table] * 3, 100), Contender("old", [table] * 5, 100), "labeling", GATE)
    assert not decision.wins
    assert decision.figures["p_value"] == 1.0


def test_a_worse_one_does_not_win_though_it_is_significant() -> None:
    decision = against_champion(wrong=300, cost=10)
    assert not decision.wins
    assert decision.figures["p_value"] < 0.05


@pytest.mark.parametrize(("speed", "wins"), [(1112, True), (1000, False), (900, False)])
def test_of_tokens_a_second_more_is_cheaper(speed: float, wins: bool) -> None:
    gate = Gate(0.05, 0.01, 0.1, "tokens_per_second")
    assert against_champion(wrong=200, cost=speed, gate=gate).wins == wins


@pytest.mark.parametrize(("mine", "theirs", "wins"), [("cpu", "cpu", True), ("cuda (H100)", "cpu", False)])
def test_times_of_different_devices_do_not_make_a_model_cheaper(mine: str, theirs: str, wins: bool) -> None:
    challenger = Contender("lstm", predictions(200), 1.0, mine)
    champion = Contender("version 3 (gru)", predictions(200), 60.0, theirs)
    decision = decide(challenger, champion, "classification", Gate(0.05, 0.01, 0.1, "training_seconds"))
    assert decision.wins == wins
    said = (
        "(1 s of training on cuda (H100) against 60 s of training on cpu: times of different devices are not compared)"
    )
    assert (said in decision.reason) != wins


def test_a_stricter_level_lets_fewer_pass() -> None:
    """12 errors less: p = 0.0005 with McNemar's test."""
    assert against_champion(wrong=188).wins
    assert not against_champion(wrong=188, gate=Gate(1e-4, 0.01, 0.1, "parameters")).wins


@pytest.mark.parametrize(
    ("changed", "accepted"),
    [({"level": 0}, "between 0 and 1"), ({"cheaper_by": 1.0}, "between 0 and 1"), ({"margin": -0.1}, "0 to below 1")],
)
def test_a_number_out_of_its_range_is_named(changed: dict[str, Any], accepted: str) -> None:
    ((name, value),) = changed.items()
    with pytest.raises(ValueError, match=f"{name}={value}; accepted: {accepted}"):
        Gate(**{"level": 0.05, "margin": 0.01, "cheaper_by": 0.1, "cost": "parameters", **changed})
