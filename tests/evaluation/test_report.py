import html
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.made_up import write_prepared
from tests.tiny import OPTIONS, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.evaluation import report as report_module
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.evaluation.leaderboard import leaderboard, with_intervals_over_texts
from unroll.evaluation.pairs import compare_pairs, conclusion
from unroll.evaluation.report import FILES, write_comparison
from unroll.evaluation.runs import Run, read_runs
from unroll.files import read_json, write_json
from unroll.pages import formats
from unroll.pages.page import render
from unroll.training.train import train

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ALL_RUNS = ["classification_runs", "labeling_runs", "multilabel_runs", "awkward_runs", "awkward_multilabel_runs"]


class Page(HTMLParser):
    """Collects the parts of a page that the tests check, and checks that every element is closed in order."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


DataOf = Callable[[Sequence[Run]], PreparedData]


@pytest.fixture(scope="module", params=ALL_RUNS)
def report(request: pytest.FixtureRequest, data_of: DataOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / request.param
    runs = read_runs(request.getfixturevalue(request.param))
    write_comparison(runs, data_of(runs), folder)
    return folder


def test_page_is_well_formed_and_its_ids_are_unique(report: Path) -> None:
    ids = Page((report / "index.html").read_text()).values("id")
    assert len(ids) == len(set(ids))


def test_page_refers_to_nothing_outside_its_folder(report: Path) -> None:
    text = (report / "index.html").read_text()
    page = Page(text)
    ids = set(page.values("id"))
    for reference in [*page.values("href"), *page.values("xlink:href"), *page.values("src")]:
        assert reference in FILES or reference.startswith("data:image/png;base64,") or reference[1:] in ids
    assert set(re.findall(r"url\(#(.*?)\)", text)) <= ids
    assert len(re.findall(r"url\(", text)) == len(re.findall(r"url\(#", text))
    assert not {"link", "iframe"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert not re.search(r"fetch\(|import\(|XMLHttpRequest", text)


def test_every_picture_has_a_text_alternative(report: Path) -> None:
    pictures = re.findall(r"<svg .*?</svg>", (report / "index.html").read_text(), flags=re.DOTALL)
    assert len(pictures) >= 3
    for picture in pictures:
        assert re.match(r'<svg role="img" aria-label="[^"]+\. [^"]+\."', picture)  # a title, and what is seen
        assert re.search(r"<title>[^<]+</title>", picture)


def test_leaderboard_csv_holds_full_precision(classification_runs: Path, data_of: DataOf, tmp_path: Path) -> None:
    runs = read_runs(classification_runs)
    write_comparison(runs, data_of(runs), tmp_path)
    board = with_intervals_over_texts(leaderboard(runs), runs)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "leaderboard.csv"), board, check_exact=True)


def test_pairs_csv_holds_every_pair(labeling_runs: Path, data_of: DataOf, tmp_path: Path) -> None:
    runs = read_runs(labeling_runs)
    write_comparison(runs, data_of(runs), tmp_path, level=0.1)
    pairs = compare_pairs(runs, ["gru", "elman"], level=0.1)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "pairs.csv"), pairs, check_exact=True)


@pytest.mark.parametrize("folder", ["classification_runs", "labeling_runs", "multilabel_runs"])
def test_same_runs_give_the_same_bytes(
    folder: str, request: pytest.FixtureRequest, data_of: DataOf, tmp_path: Path
) -> None:
    for copy in ("first", "second"):
        runs = read_runs(request.getfixturevalue(folder))
        write_comparison(runs, data_of(runs), tmp_path / copy)
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_each_model_has_a_file_of_its_test_metrics_and_models_that_are_not_compared_have_none(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = read_runs(classification_runs)
    for compared in (runs, [run for run in runs if run.run_id == "gru1"], runs):
        write_comparison(compared, data_of(runs), tmp_path)
        files = {file.stem: read_json(file) for file in (tmp_path / "metrics").iterdir()}
        assert set(files) == {run.model for run in compared}
    board = leaderboard(runs).set_index("model").loc["gru"]
    scores = ["test/accuracy", "test/macro_f1", "test/calibration_error", "test/loss"]
    assert files["gru"] == {"seeds": 2, **{it: board[it] for name in scores for it in (name, f"{name}_sd")}}
    write_comparison(runs[:1], data_of(runs), tmp_path)
    assert set(read_json(tmp_path / "metrics" / "elman.json")) == {"seeds", *scores}  # no deviation of one seed


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (None, None),
        ("sqlite:///mlflow.db", None),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000/#/runs/gru1"),
        ("https://ada:secret@mlflow.example/base", "https://mlflow.example/base/#/runs/gru1"),
    ],
)
def test_runs_are_linked_where_there_is_a_tracking_server(
    classification_runs: Path, data_of: DataOf, tmp_path: Path, uri: str | None, address: str | None
) -> None:
    runs = read_runs(classification_runs)
    write_comparison(runs, data_of(runs), tmp_path, tracking_uri=uri)
    text = (tmp_path / "index.html").read_text()
    linked = [it for it in Page(text).values("href") if it.endswith("/runs/gru1")]
    assert linked == ([address] if address else [])
    assert ("make ui" in text) == (address is None)
    assert "secret" not in text


def test_the_page_has_the_commands_to_predict_with_and_to_serve_the_champion(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = read_runs(classification_runs)
    write_comparison(runs, data_of(runs), tmp_path)
    text = html.unescape((tmp_path / "index.html").read_text())
    assert """python -c "import unroll; print(unroll.load('reviews@champion').predict(['…']))\"""" in text
    assert "unroll serve reviews@champion --port 8000" in text
    assert "python pipelines/register.py dataset=reviews" in text  # first, since there may be no champion


@pytest.mark.parametrize("models", [1, 2, 3])
def test_costs_are_drawn_for_three_models_or_more(
    classification_runs: Path, data_of: DataOf, tmp_path: Path, models: int
) -> None:
    found = read_runs(classification_runs, ["gru"])
    runs = [replace(run, model=name) for name in "abc"[:models] for run in found]
    write_comparison(runs, data_of(runs), tmp_path)
    assert ("Pareto-optimal" in (tmp_path / "index.html").read_text()) == (models > 2)


def test_hard_examples_are_shown_as_they_were_written(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = read_runs(classification_runs)
    texts = [f"({' '.join(['Hé'] * (length - 2))})" for length in runs[0].predictions["length"]]
    pd.DataFrame({"review": texts}).to_parquet(tmp_path / "test.parquet")
    write_comparison(runs, data_of(runs), tmp_path, raw=tmp_path, text_columns=["review"])
    text = (tmp_path / "index.html").read_text()
    assert '<p class="text">(Hé' in text
    assert "Word" not in re.sub("<h2>.*?</h2>", "", text)


def verdict(folder: Path) -> str:
    paragraph = re.search(r'<p class="verdict">(.*?)</p>', (folder / "index.html").read_text(), flags=re.DOTALL)
    assert paragraph
    return re.sub(r"\s+", " ", re.sub("<.*?>", "", paragraph[1])).strip()


def test_page_opens_with_the_winner_its_test_score_and_whom_it_beats(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = read_runs(classification_runs)
    write_comparison(runs, data_of(runs), tmp_path)
    best = leaderboard(runs).iloc[0]
    assert verdict(tmp_path) == (
        f"gru has the best validation accuracy ({100 * best['val/accuracy']:.2f} %) and reached "
        f"{100 * best['test/accuracy']:.2f} ± {100 * best['test/accuracy_sd']:.2f} % on the test split "
        "(mean ± standard deviation over 2 seeds). "
        f"On the same test examples, {conclusion(compare_pairs(runs, ['gru', 'elman'], 0.05), 'gru')}"
    )


def test_models_with_the_same_validation_score_are_said_to_be_equal(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = [replace(run, best_score=1.0) for run in read_runs(classification_runs)]
    runs += [replace(run, model="worse", best_score=0.5) for run in runs if run.model == "gru"]
    write_comparison(runs, data_of(runs), tmp_path)
    first, second, _ = leaderboard(runs)["model"]
    assert verdict(tmp_path).startswith(
        f"{first} and {second} have the same validation accuracy (100.00 %), and no model has a better one. "
        f"{first}, which has the fewest parameters of them, reached "
    )


def test_the_test_score_is_said_to_choose_neither_epoch_nor_model(report: Path) -> None:
    text = " ".join((report / "index.html").read_text().split())
    assert "not used to choose the epoch or the model" in text
    assert "only the registry's gate uses it" in text


def test_one_seed_shows_no_spread(labeling_runs: Path, data_of: DataOf, tmp_path: Path) -> None:
    runs = read_runs(labeling_runs, seeds=[1])
    write_comparison(runs, data_of(runs), tmp_path)
    assert "on the test split (one seed). On" in verdict(tmp_path)
    assert "±" not in verdict(tmp_path)


@pytest.mark.parametrize(
    ("seeds", "by_chance", "as_trained"),
    [((1, 1, 1), False, True), ((1, 1, 2), True, True), ((1, 2, 2), True, False), ((2, 2, 2), True, False)],
)
def test_pairs_with_one_seed_each_are_said_to_be_about_these_trained_models(
    classification_runs: Path,
    data_of: DataOf,
    tmp_path: Path,
    seeds: tuple[int, int, int],
    by_chance: bool,
    as_trained: bool,
) -> None:
    found = read_runs(classification_runs, ["gru"])
    runs = [replace(run, model=name) for name, most in zip("abc", seeds, strict=True) for run in found[:most]]
    write_comparison(runs, data_of(runs), tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert ("The tests treat both the test examples and the seeds as chance" in text) == by_chance
    assert ("Pairs with one seed each are about these trained models" in text) == as_trained


def test_pairs_of_models_that_no_seed_changes_are_not_about_these_trained_models_alone(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = [replace(run, seeded=False) for run in read_runs(classification_runs, seeds=[1])]
    write_comparison(runs, data_of(runs), tmp_path)
    assert "Pairs with one seed each" not in (tmp_path / "index.html").read_text()


def test_labels_that_are_decided_by_themselves_have_a_table_and_no_confusion_matrix(
    multilabel_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = read_runs(multilabel_runs)
    write_comparison(runs, data_of(runs), tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "Confusion matrix" not in text
    for model in ("gru", "elman"):
        first, second = (run.confusion.loc["neutral"] for run in runs if run.model == model)
        cells = "".join(f"<td>{count:,}</td>" for count in first + second)
        assert f'<th scope="row">neutral</th>{cells}' in text
    assert verdict(tmp_path).startswith("gru has the best validation micro F1 (")


def test_trained_and_evaluated_models_of_label_sets_are_compared(topics: PreparedData, tmp_path: Path) -> None:
    models = tmp_path / "models" / "topics"
    for model in ("fcnn", "lstm"):
        folder = models / model / "1"
        figures = train(topics, tiny_parts(model, max_epochs=2), OPTIONS, folder)
        evaluate(topics, folder, EvaluateOptions(batch_size=8, threads=1))
        identity = {"dataset": "topics", "task": "multilabel", "model": model, "seed": 1, "run_id": model}
        write_json(folder / "run.json", identity | figures)
    runs = read_runs(models)
    write_comparison(runs, topics, tmp_path / "reports")
    board = pd.read_csv(tmp_path / "reports" / "leaderboard.csv").set_index("model")
    assert {run.model: run.metrics["test/f1"] for run in runs} == board["test/f1"].to_dict()
    Page((tmp_path / "reports" / "index.html").read_text())


@pytest.mark.parametrize("runs", ["awkward_runs", "awkward_multilabel_runs"])
def test_dataset_strings_are_escaped(
    runs: str, request: pytest.FixtureRequest, data_of: DataOf, tmp_path: Path
) -> None:
    found = read_runs(request.getfixturevalue(runs))
    write_comparison(found, data_of(found), tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(&#34;$x$&#34;)&lt;/script&gt; &amp; more" in text


def test_text_of_the_corpus_is_escaped(labeling_runs: Path, tmp_path: Path) -> None:
    runs = read_runs(labeling_runs)
    gold = runs[0].predictions["label"].tolist()
    texts = [['<b>&"' for _ in tags] for tags in gold]
    data = write_prepared(tmp_path, "labeling", TAGS, {"train": (texts, gold), "test": (texts, gold)})
    write_comparison(runs, data, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text()
    Page(text)
    assert "&lt;b&gt;&amp;&#34;" in text
    assert "<b>" not in text


def pair_cells(*pairs: tuple[str, str, float, float, float, float, bool]) -> list[list[str]]:
    """The text of each cell of the table of pairs, by row."""
    columns = ["first", "second", "difference", "low", "high", "adjusted_p", "significant"]
    rows = {(pair[0], pair[1]): pair for pair in pd.DataFrame(pairs, columns=columns).itertuples(index=False)}
    models = sorted({name for pair in rows for name in pair})
    words: dict[str, Any] = {
        "metric": "F1",
        "confidence": "95 %",
        "level": "0.05",
        "most_seeds": 1,
        "as_trained": False,
        "formats": formats,
    }
    text = render(Path(report_module.__file__).with_name("report_pairs.html.j2"), models=models, pairs=rows, **words)
    text = text.replace('<td class="significant">', "<td>shaded: ")
    body = re.search("<tbody>(.*)</tbody>", text, flags=re.DOTALL)
    assert body
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in body[1].split("</tr>")[:-1]]
    return [[" ".join(re.sub("<.*?>", " ", cell).split()) for cell in row] for row in cells]


def test_the_table_of_pairs_is_seen_from_the_row_and_has_each_pair_once() -> None:
    assert pair_cells(
        ("a", "b", 0.01, -0.001, 0.021, 0.07, False),
        ("a", "c", 0.2, 0.1, 0.3, 0.0, True),
        ("b", "c", -0.1, -0.2, -0.05, 0.01, True),
    ) == [
        ["b", "−1.00 not significant −2.1 to +0.1 p = 0.070", ""],
        ["c", "shaded: −20.00 worse −30.0 to −10.0 p &lt; 0.001", "shaded: +10.00 better +5.0 to +20.0 p = 0.010"],
    ]


def test_a_difference_that_is_rounded_to_zero_has_no_sign() -> None:
    ((_, cell),) = pair_cells(("a", "b", 0.00001, -0.1, 0.1, 1.0, False))
    assert cell.startswith("0.00 not significant")


def test_one_model_has_no_other_to_be_compared_with(awkward_runs: Path, data_of: DataOf, tmp_path: Path) -> None:
    runs = read_runs(awkward_runs)
    write_comparison(runs, data_of(runs), tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "Which models differ?" not in text
    assert "On the same test examples" not in text
    assert (tmp_path / "pairs.csv").read_text().startswith("first,second,")


def test_models_that_are_fitted_at_once_have_no_learning_curves(
    classification_runs: Path, data_of: DataOf, tmp_path: Path
) -> None:
    runs = [replace(run, history=run.history[:1]) for run in read_runs(classification_runs)]
    write_comparison(runs, data_of(runs), tmp_path)
    assert "Learning curves" not in (tmp_path / "index.html").read_text()


def test_a_slice_of_a_single_part_is_left_out(labeling_runs: Path, tmp_path: Path) -> None:
    gold = [["O", "B-PER", "O"]] * 40
    texts = [["with", "Ada", "Lovelace"]] * 40
    predictions = pd.DataFrame({"row": range(40), "length": 3, "label": gold, "predicted": gold})
    predictions["probabilities"] = [np.full(3, 0.9)] * 40
    runs = [replace(run, predictions=predictions, classes=run.classes[:1]) for run in read_runs(labeling_runs)]
    splits = {"train": (texts, gold), "test": (texts, gold)}
    write_comparison(runs, write_prepared(tmp_path, "labeling", TAGS, splits), tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text()
    for title in ("Short and long texts", "Words that are missing", "Entities that are missing", "Entity types"):
        assert title not in text


def test_runs_that_were_scored_on_other_data_are_refused(
    classification_runs: Path, topics: PreparedData, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"reviews/elman/1 was not scored on the 18 test examples of .*prepared"):
        write_comparison(read_runs(classification_runs), topics, tmp_path)


@pytest.mark.parametrize("level", [0, 1, 5])
def test_a_level_that_is_none_is_refused(
    classification_runs: Path, data_of: DataOf, tmp_path: Path, level: float
) -> None:
    runs = read_runs(classification_runs)
    with pytest.raises(ValueError, match=f"level={level}; accepted: above 0, below 1"):
        write_comparison(runs, data_of(runs), tmp_path, level)
