import optuna
import pytest
from optuna.trial import TrialState, create_trial

from tests.pages.drawn import assert_fits
from unroll.sweep.figures import param_importances, search_space_figure, study_figures

SPACE = {
    "model": optuna.distributions.CategoricalDistribution(["gru", "lstm"]),
    "lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
}


def study(count: int = 12, directions: tuple[str, ...] = ("maximize",)) -> optuna.Study:
    """The first value depends on the model, the second on the learning rate."""
    found = optuna.create_study(directions=directions)  # type: ignore[arg-type]
    for number in range(count):
        model, lr = ("gru", "lstm")[number % 2], 1e-4 * 1.7**number
        values = [float(model == "gru"), lr][: len(directions)]
        found.add_trial(create_trial(params={"model": model, "lr": lr}, distributions=SPACE, values=values))
    return found


def test_the_parameter_that_decides_is_the_important_one() -> None:
    shares = param_importances(study(), ["best_score"])["best_score"]
    assert shares["model"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_every_objective_has_its_own_importances() -> None:
    shares = param_importances(study(directions=("maximize", "minimize")), ["score", "cost"])
    assert max(shares["score"], key=shares["score"].__getitem__) == "model"
    assert max(shares["cost"], key=shares["cost"].__getitem__) == "lr"


def test_of_too_few_trials_and_of_equal_ones_there_is_no_importance() -> None:
    assert param_importances(study(3), ["best_score"]) == {}
    equal = optuna.create_study()
    equal.add_trials([create_trial(params={"lr": 0.01}, distributions={"lr": SPACE["lr"]}, value=1.0)] * 5)
    assert param_importances(equal, ["best_score"]) == {}


def test_a_panel_a_parameter_with_its_scale() -> None:
    figure = search_space_figure(study(), ["best_score"])
    by_name = {axes.get_xlabel(): axes for axes in figure.axes}
    assert set(by_name) == {"model", "lr"}
    assert by_name["lr"].get_xscale() == "log"
    assert {"0.0001", "0.01"} <= {label.get_text() for label in by_name["lr"].get_xticklabels()}
    assert [label.get_text() for label in by_name["model"].get_xticklabels()] == ["gru", "lstm"]


def test_where_nothing_was_swept_there_is_no_picture() -> None:
    alone = optuna.create_study(direction="maximize")
    alone.add_trial(create_trial(value=0.5))
    assert study_figures(alone, ["best_score"], {}) == {}


def test_there_are_the_pictures_that_the_study_gives() -> None:
    assert set(study_figures(study(), ["best_score"], {"best_score": {"lr": 1.0}})) == {"search_space", "importance"}
    assert set(study_figures(study(directions=("maximize", "minimize")), ["a", "b"], {"a": {"lr": 1.0}})) == {
        "search_space",
        "importance",
        "trade_off",
    }
    failed = optuna.create_study()
    failed.add_trial(create_trial(state=TrialState.FAIL))
    assert study_figures(failed, ["best_score"], {}) == {}


def test_what_is_written_beside_the_axes_fits() -> None:
    two = study(directions=("maximize", "minimize"))
    figures = study_figures(two, ["score", "cost"], {"score": {"model.hidden_size": 1.0}, "cost": {"lr": 1.0}})
    for figure in figures.values():
        assert_fits(figure)
