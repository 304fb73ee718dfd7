"""`python pipelines/drift.py` run as a command."""

import subprocess
from pathlib import Path

import pytest

from tests.drift.files import write
from tests.fork_server import bin_folder
from unroll.data.prepared import PreparedData
from unroll.files import read_json


@pytest.fixture
def file(tmp_path: Path) -> Path:
    texts = ["so very good and warm today"] * 40 + ["Unheard-of!"] * 40
    return write(tmp_path / "new.csv", {"text": [*texts, ""], "label": ["positive"] * 81})


def run(project: Path, folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Run in `folder`, outside the project, and write there if no other output is given."""
    given = (
        overrides if any(it.startswith("output=") for it in overrides) else (f"output={folder}/drift.json", *overrides)
    )
    command = [bin_folder() / "python", str(project / "pipelines" / "drift.py"), *given]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_it_prints_a_table_the_reasons_and_a_verdict_and_writes_the_same_facts(
    project: Path, reviews: PreparedData, tmp_path: Path, file: Path
) -> None:
    done = run(project, tmp_path, f"data={reviews.folder}", f"against={file}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{file}: 80 texts, 80 of them with labels, compared with {reviews.folder}"
    assert lines[1] == "unused rows: 1 (1 missing text)"
    assert lines[3].split() == ["feature", "against", "reference", "new", "PSI", "chance", "verdict"]
    facts = read_json(tmp_path / "drift.json")
    table = lines[4 : 4 + len(facts["comparisons"])]
    for line, found in zip(table, facts["comparisons"], strict=True):
        assert line.startswith(found["feature"])
        assert line.split()[-3:] == [f"{found['index']:.3f}", f"{found['chance']:.3f}", found["verdict"]]
    assert facts["new_words"] == {"unheard": 40, "-": 40, "of": 40, "!": 40}
    assert "  most frequent: unheard (40), - (40), of (40), ! (40)" in lines
    assert lines[-1].startswith("retrain (")
    assert facts["verdict"] == "retrain"


def test_what_is_like_the_training_data_is_stable(project: Path, reviews: PreparedData, tmp_path: Path) -> None:
    same = reviews.folder.parent / "raw" / "validation.parquet"
    done = run(project, tmp_path, f"data={reviews.folder}", f"against={same}", f"output={tmp_path}/found/here.json")
    assert done.stdout.splitlines()[-1] == "stable: nothing to do"
    assert "Few texts: chance alone explains an index of up to" in done.stdout
    assert read_json(tmp_path / "found/here.json")["verdict"] == "stable"


MISTAKES = {
    "agianst=x.csv": ["agianst: unknown key", "did you mean 'against'?"],
    "": ["against=null", "accepted: .csv"],
    "against=nowhere.csv": ["against=nowhere.csv: no such file", "accepted: .csv"],
    "against=5": ["against=5", "string"],
    "against=FILE run=models/none": ["run=models/none: no trained model"],
    "against=FILE run=[1]": ["run=", "string"],
    "against=FILE data=nowhere": ["nowhere contains no prepared data", "pipelines/prepare.py"],
    "against=FILE data=5": ["data=5", "string"],
    "against=FILE output=null": ["output=None", "string"],
    "against=FILE output=.": ["output=.", "a file"],
    "against=FILE watch=much": ["watch='much'", "number"],
    "against=FILE watch=1": ["watch=1 and retrain=0.25", "accepted: 0 < watch <= retrain"],
    "against=FILE level=5": ["level=5", "between 0 and 1"],
    "against=FILE dataset=demo_review": ["dataset=demo_review", "demo_entities, demo_reviews"],
    "against=FILE dataset.columns.text=body": ["no column 'body'", "text, label"],
    "against=FILE dataset.columns.txt=body": ["dataset.columns=['label', 'text', 'txt']", "['text', 'label']"],
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(
    project: Path, reviews: PreparedData, tmp_path: Path, file: Path, overrides: str
) -> None:
    given = overrides.replace("FILE", str(file)).split()
    data = [] if "data=" in overrides else [f"data={reviews.folder}"]
    done = run(project, tmp_path, *data, *given)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for words in MISTAKES[overrides]:
        assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]
