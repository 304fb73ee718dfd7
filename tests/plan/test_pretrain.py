"""`python pipelines/pretrain.py` run as a command."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fork_server import bin_folder
from unroll.data.pretrained import Pretrained
from unroll.files import checksums
from unroll.plan.pretrain import inputs_of

QUICK = ("pretraining.epochs=2", "pretraining.embedding_size=4", "pretraining.min_count=1", "pretraining.buckets=50")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of text; the outputs of these tests are written there too."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "texts.txt").write_text("".join(f"this is text {i}\n" for i in range(50)))
    (folder / "empty.txt").write_text("\n \n")
    return folder


def run(project: Path, folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a project without datasets, with all outputs in `folder`."""
    places = [f"{key}={folder}/{key}" for key in ("raw", "data", "corpora")]
    given = ["corpus=folder", f"corpus.sources.texts.path={folder}/texts.txt", f"output={folder}/pretrained", *places]
    command = [bin_folder() / "python", str(project / "pipelines" / "pretrain.py"), *given, *QUICK, *overrides]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_writes_weights_and_registers_them_and_then_is_up_to_date(project: Path, texts: Path) -> None:
    done = run(project, texts, "name=mine")
    assert (done.returncode, done.stderr) == (0, "")
    corpus, *epochs, end = done.stdout.splitlines()
    assert corpus == f"{texts}/corpora/folder: 50 texts, 196 tokens, 52 words; left out: none"
    assert [it.partition(":")[0] for it in epochs] == ["epoch 1", "epoch 2"]
    assert end == f"{texts}/pretrained: pretrained-mine version 1; {texts}/pretrained/card.md has more"
    assert Pretrained.load(texts / "pretrained").weights["subwords"].shape == (50, 4)
    before = checksums(texts / "pretrained")
    done = run(project, texts, "name=mine")
    assert done.stdout.splitlines() == [f"{texts}/pretrained is up to date", end]
    assert checksums(texts / "pretrained") == before


def test_the_weights_of_another_device_are_not_learned_again() -> None:
    target = "unroll.pretraining.fit.LanguageModeling"
    config: dict[str, Any] = {"seed": 1, "threads": 1, "name": "mine", "pretraining": {"_target_": target, "epochs": 1}}
    inputs = [
        inputs_of(config | {"pretraining": config["pretraining"] | more}, "corpus")
        for more in ({}, {"device": "cpu"}, {"device": "cuda"}, {"epochs": 2})
    ]
    assert inputs[0] == inputs[1] == inputs[2] != inputs[3]


MISTAKES = {
    "corpus=imbd": ["corpus=imbd: no such choice", "demo_reviews, folder, imdb"],
    "corpus=imdb": ["data/raw/imdb"],
    "pretraining=vector": ["pretraining=vector: no such choice", "vectors"],
    "pretraining.epochs=0": ["pretraining.epochs=0; accepted: 1 or more"],
    "pretraining.epoch=3": ["pretraining.epoch: unknown key (did you mean 'epochs'?)"],
    "name=../x": ["name='../x'; accepted: a name"],
    "tokenizer=bpe": ["tokenizer.subwords=bpe", "accepted: null"],
    "corpus.sources.texts.path=empty.txt": ["folder has no usable document (no document)"],
    "pretraining.min_count=999": ["pretraining.min_count=999: no word of the corpus occurs so often"],
    "threads=0": ["threads=0; accepted: 1 or more"],
}


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_is_one_line(project: Path, texts: Path, override: str) -> None:
    done = run(project, texts, "name=other", f"output={texts}/other", override.replace("=empty", f"={texts}/empty"))
    assert done.returncode == 1
    (line,) = [it for it in done.stderr.splitlines() if not it.startswith("warning")]
    assert line.startswith("error: ")
    for part in MISTAKES[override]:
        assert part.replace("data/raw", f"{texts}/raw") in line
    assert not (texts / "other").exists()
