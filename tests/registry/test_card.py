from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from tests.evaluation.conftest import write_classification_run, write_labeling_run, write_multilabel_run
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.evaluation.pairs import compare_predictions
from unroll.evaluation.runs import Run, read_runs
from unroll.registry.candidate import Candidate
from unroll.registry.card import DESCRIPTION_LIMIT, description_of, write_card
from unroll.registry.gate import Decision
from unroll.statistics.comparison import interval_over_seeds

ORIGIN = {"git.commit": "a" * 40, "dataset.path": "data/reviews", "dataset.revision": "folder"}
DECISION = Decision(False, "gru is not better than version 2 (lstm)", {})
WRITE = {
    "classification": write_classification_run,
    "labeling": write_labeling_run,
    "multilabel": write_multilabel_run,
}


def evaluated(data: PreparedData, folder: Path, seeds: tuple[int, ...] = (1, 2)) -> list[Run]:
    """Two models, `gru` and a worse one."""
    for seed in seeds:
        for model, skill in (("gru", 0.9), ("elman", 0.6)):
            WRITE[data.task](folder / model / str(seed), skill)
            save_random_model(data, folder / model / str(seed) / "model")
    return read_runs(folder)


def card(data: PreparedData, folder: Path, runs: list[Run], path: str = "data/reviews", **origin: str) -> str:
    candidate = Candidate.of(runs, folder, data.folder.parent / "raw", data)
    return write_card(candidate, runs, 3, ORIGIN | {"dataset.path": path} | origin, DECISION, level=0.05)


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "reviews"


@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
def test_a_card_says_what_the_version_is(task: Task, prepared: dict[Task, PreparedData], folder: Path) -> None:
    data = prepared[task]
    found = card(data, folder, evaluated(data, folder))
    assert found.startswith("# reviews: gru\n")
    assert "Version 3 of the registered model `reviews`" in found
    assert "**Challenger** when it was registered: gru is not better than version 2 (lstm)." in found
    for label in data.label_names:
        assert label in section(found, "Data")
    assert "`" + "a" * 40 + "`" in section(found, "Origin")
    assert "`hidden_size` | `8`" in section(found, "Configuration")
    assert 'mlflow.pyfunc.load_model("models:/reviews/3")' in section(found, "Use")


def test_scores_have_the_intervals_over_seeds(reviews: PreparedData, folder: Path) -> None:
    runs = evaluated(reviews, folder, seeds=(1, 2, 3))
    own = [run.metrics["test/accuracy"] for run in runs if run.model == "gru"]
    low, high = interval_over_seeds(own, 0.05)
    best = max((run for run in runs if run.model == "gru"), key=lambda run: run.best_score)
    row = next(line for line in section(card(reviews, folder, runs), "Test scores").splitlines() if "accuracy" in line)
    assert row == (
        f"| accuracy | {100 * best.metrics['test/accuracy']:.2f} | {100 * sum(own) / 3:.2f} "
        f"| {100 * low:.2f} to {100 * min(high, 1):.2f} |"
    )


def test_one_seed_has_no_interval_and_the_card_notes_it(reviews: PreparedData, folder: Path) -> None:
    found = card(reviews, folder, evaluated(reviews, folder, seeds=(1,)))
    assert "%**, one seed." in found
    assert "the effect of the randomness of training is unknown" in section(found, "Limits")


def test_other_models_are_compared_with_it(reviews: PreparedData, folder: Path) -> None:
    runs = evaluated(reviews, folder)
    (row,) = [
        line
        for line in section(card(reviews, folder, runs), "Other models on the same data").splitlines()
        if "elman" in line
    ]
    other = [run for run in runs if run.model == "elman"]
    _, name, validation, _, difference, _, _ = (cell.strip() for cell in row.split("|"))
    assert (name, validation) == ("elman", f"{50 * sum(run.best_score for run in other):.2f}")
    found = compare_predictions(
        [run.predictions for run in runs if run.model == "gru"], [run.predictions for run in other], "classification"
    )
    assert difference == f"{100 * found.difference:+.2f} ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
    alone = [run for run in runs if run.model == "gru"]
    assert "None was trained." in card(reviews, folder, alone)


def test_the_weakest_label_and_length_are_limits(reviews: PreparedData, folder: Path) -> None:
    runs = evaluated(reviews, folder)
    classes = pd.concat([run.classes for run in runs if run.model == "gru"]).groupby("label")["f1"].mean()
    limits = section(card(reviews, folder, runs), "Limits")
    assert f"Weakest label: {classes.idxmin()}, F1 {100 * classes.min():.2f} %." in limits
    assert "Weakest on texts of " in limits


def test_a_label_that_is_missing_from_the_test_split_is_not_the_weakest_and_has_no_scores(
    reviews: PreparedData, folder: Path
) -> None:
    runs = []
    for run in evaluated(reviews, folder):
        classes = run.classes.assign(precision=[0, 0.8, 0.7], recall=[0, 0.8, 0.7], f1=[0, 0.8, 0.7])
        runs.append(replace(run, classes=classes.assign(support=[0, 91, 29])))
    found = card(reviews, folder, runs)
    assert "| negative | – | – | – | 0 |" in section(found, "Test scores")
    assert "| positive | (70) | (70) | (70) | 29 |" in section(found, "Test scores")
    assert "Weakest label: positive, F1 70.00 %." in section(found, "Limits")


def test_the_licence_and_the_language_are_those_that_the_data_declare(
    reviews: PreparedData, folder: Path, tmp_path: Path
) -> None:
    runs = evaluated(reviews, folder)
    data = section(card(reviews, folder, runs), "Data")
    assert "Language: not recorded.\nLicence: unknown.\n" in data
    (tmp_path / "README.md").write_text("---\nlanguage:\n- en\n- nl\nlicense: cc0-1.0\n---\n# Reviews\n")
    data = section(card(reviews, folder, runs, path=str(tmp_path)), "Data")
    assert "Language: en, nl.\nLicence: cc0-1.0, according to the README of the data.\n" in data


BOMB = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9) if i else 'lol'}]\n" for i in range(12))


@pytest.mark.parametrize(
    "text",
    [
        "# No header\n",
        "---\n[broken\n---\n",
        "---\n- a list\n---\n",
        "---\nlicense: mit\ndate: 2020-13-45\n---\n",
        f"---\n{BOMB}license: *x11\n---\n",
        "---\nlicense: " + "[" * 5000 + "]" * 5000 + "\n---\n",
        "---\nlicense: {name: mit}\n---\n",
        "---\nlicense: \x00\n---\n",
    ],
)
def test_a_readme_that_declares_nothing_is_no_hindrance(
    text: str, reviews: PreparedData, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text(text)
    assert "Licence: unknown." in card(reviews, folder, evaluated(reviews, folder), path=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n", "mit"),
        (b"---\nlicense: mit\nauthor: J\xfcrgen\n---\n", "mit"),  # Latin-1
        (rb"---" b"\n" rb'license: "a\x1b[31m\0\u202Eb\uD800"' b"\n---\n", "a\ufffd\\[31m\ufffd\ufffdb\ufffd"),
        (b"---\nlicense: [mit, {a: b}, 3]\n---\n", "mit, 3"),
        (b"---\nlicense: " + b"x" * 10_000 + b"\n---\n", "x" * 200 + "…"),
    ],
)
def test_a_licence_is_shown_however_it_is_written(
    content: bytes, shown: str, reviews: PreparedData, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_bytes(content)
    found = card(reviews, folder, evaluated(reviews, folder), path=str(tmp_path))
    assert f"Licence: {shown}, according to the README of the data.\n" in found
    found.encode()


def test_data_of_the_hub_have_their_revision_and_a_link(
    reviews: PreparedData, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"path": "acme/reviews", "name": "small", "revision": "main", "commit": "d" * 40}
    monkeypatch.setitem(reviews.description, "source", source)
    data = section(card(reviews, folder, evaluated(reviews, folder), path="acme/reviews"), "Data")
    assert f"Hugging Face dataset `acme/reviews`, configuration `small`, revision `{'d' * 40}`." in data
    assert "<https://huggingface.co/datasets/acme/reviews>" in data


def test_labels_that_look_like_markup_stay_text(reviews: PreparedData, folder: Path) -> None:
    labels = ["a|b", "<b>", "*c*"]
    for model in ("gru", "elman"):
        write_classification_run(folder / model / "1", 0.9, labels)
        save_random_model(reviews, folder / model / "1" / "model")
    scores = section(card(reviews, folder, read_runs(folder)), "Test scores")
    for shown in ("| a\\|b |", "| &lt;b> |", "| \\*c\\* |"):
        assert shown in scores


HOSTILE = "<img src=x onerror=alert(1)> [here](https://example.com) *b* `c` | d\n\n# heading"


def test_nothing_that_the_data_declare_is_markup(
    reviews: PreparedData, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = yaml.safe_dump({"language": [HOSTILE], "license": HOSTILE})
    (tmp_path / "README.md").write_text(f"---\n{header}---\n")
    source = {"path": f"acme/{HOSTILE}", "name": HOSTILE, "revision": "main", "commit": "d" * 40}
    monkeypatch.setitem(reviews.description, "source", source)
    monkeypatch.setitem(reviews.description, "label_names", ["a", HOSTILE])
    found = card(reviews, folder, evaluated(reviews, folder), path=str(tmp_path))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(found)
    assert "<img" not in html
    assert '<a href="https://example.com">' not in html
    assert "<em>b</em>" not in html
    assert "<h1>heading" not in html
    assert html.count("onerror=alert(1)") >= 5  # it is shown as text


def test_a_description_is_the_sections_that_fit() -> None:
    whole = "# Title\n\nFirst.\n" + "".join(f"\n## {title}\n\n{title * 1900}\n" for title in "abc")
    assert len(whole) > DESCRIPTION_LIMIT
    shown = description_of(whole)
    assert len(shown) <= DESCRIPTION_LIMIT
    assert shown.startswith("First.\n\n## a\n")
    assert "\n## b\n" in shown and "\n## c\n" not in shown
    assert "the whole card is `model_card.md`" in shown


def test_a_short_card_is_its_own_description_but_for_the_title() -> None:
    assert description_of("# Title\n\nFirst.\n\n## a\n\nb\n") == "First.\n\n## a\n\nb\n"


def test_cells_stand_apart_in_a_description() -> None:
    table = "| | mean |\n|---|---:|\n| loss | 0.1 |\n"
    shown = "| | &emsp;mean |\n|---|---:|\n| loss | &emsp;0.1 |\n"
    assert description_of(f"# Title\n\n{table}") == shown


def test_pretrained_weights_are_named(reviews: PreparedData, folder: Path) -> None:
    runs = evaluated(reviews, folder)
    weights = {"pretrained": "imdb", "pretrained.checksum": "f" * 64}
    found = section(card(reviews, folder, runs, **weights), "Data")
    assert f"began with the pretrained weights `imdb` (SHA-256 `{'f' * 64}`)" in found
    assert "pretrained weights" not in card(reviews, folder, runs)
