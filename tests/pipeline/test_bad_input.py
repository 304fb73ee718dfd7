"""User errors: one message with the wrong value and what is accepted, and no incomplete files."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.conftest import Project

pytestmark = pytest.mark.xdist_group("pipeline")  # one process: the project is reproduced once

MISTAKES = {
    "train.py model=lstmm": ["model=lstmm", "elman, fcnn, gru, indrnn, lru, lstm"],
    "train.py dataset=demo_review": ["dataset=demo_review", "demo_entities, demo_reviews"],
    "train.py trainer=tpu": ["trainer=tpu", "auto, cpu, ddp, gpu"],
    "train.py sede=1": ["sede: unknown key", "did you mean 'seed'?"],
    "train.py model.hiden_size=3": ["model.hiden_size", "did you mean 'hidden_size'?"],
    "train.py +model.encoder.layers=3": ["model.encoder.layers", "num_layers"],
    "train.py seed=abc": ["seed=abc", "a whole number from 0"],
    "train.py seed=-1": ["seed=-1", "a whole number from 0"],
    "train.py seed=1.5": ["seed=1.5", "a whole number from 0"],
    "train.py seed=99999999999999999999": ["seed=99999999999999999999", "from 0 to 4294967295"],
    "prepare.py seed=4294967296": ["seed=4294967296", "from 0 to 4294967295"],
    "train.py batch_size=0": ["batch_size=0", "1 or more"],
    "train.py model.hidden_size=big": ["model.hidden_size='big'", "integer"],
    "train.py model.hidden_size=0": ["hidden_size=0", "1 or more"],
    "train.py model.pooling=sum": ["model.pooling='sum'", "'last', 'mean', 'max', 'attention' or 'concat'"],
    "train.py model.head=crff": ["model.head='crff'", "'softmax', 'crf' or 'constrained_crf'"],
    "train.py model.head=crf": ["model.head=crf is for labeling", "softmax"],
    "train.py model.encoder.num_layers=0": ["model.encoder.num_layers=0", "1 or more"],
    "train.py model.encoder=null": ["model.encoder=None", "unroll.nn.RecurrentEncoder"],
    "train.py trainer.precision=bf17": ["trainer.precision='bf17'", "bf16-mixed"],
    "train.py vectors=nowhere": ["vectors=nowhere", "GloVe", "gzip"],
    "train.py batch_tokens=0": ["batch_tokens=0", "1 or more"],
    "train.py model=elman model.encoder.cell.activation=gelu": [
        "activation='gelu'",
        "'sigmoid', 'tanh' or 'relu'",
    ],
    "train.py optimizer.lr=fast": ["optimizer.lr='fast'", "a number above 0"],
    "train.py optimizer.lr=0": ["optimizer.lr=0", "a number above 0"],
    "train.py optimizer.learning_rate=1": ["optimizer.learning_rate", "accepted: lr, weight_decay"],
    "train.py +sede=1": ["sede: unknown key", "did you mean 'seed'?"],
    "train.py trainer.max_epochs=0": ["trainer.max_epochs=0", "1 or more"],
    "train.py trainer.fast_dev_run=true": ["trainer.fast_dev_run=True", "trainer.max_epochs=1"],
    "train.py scheduler.warmup=2": ["scheduler.warmup=2", "0 to below 1"],
    "train.py dataset=demo_entities model=tfidf": ["classification and multilabel", "model=crfsuite, model=majority"],
    "train.py model=tfidf model.ngram_range=[2,1]": ["ngram_range=[2, 1]", "from 1 to"],
    "train.py model=tfidf model.C=strong": ["model.C='strong'"],
    "train.py dataset=imdb": ["data/prepared/imdb", "python pipelines/prepare.py dataset=imdb"],
    "prepare.py dataset=imdb": ["data/raw/imdb", "python pipelines/download.py dataset=imdb"],
    "prepare.py validation_fraction=1": ["validation_fraction=1"],
    "prepare.py tokenizer=word": ["tokenizer=word", "bpe, unigram, whitespace, words"],
    "prepare.py tokenizer.split=sentences": ["tokenizer.split='sentences'", "'words', 'treebank', 'whitespace'"],
    "prepare.py tokenizer.numbers=drop": ["tokenizer.numbers='drop'", "'keep' or 'zeros'"],
    "prepare.py tokenizer.lower=false": ["tokenizer.lower", "lowercase"],
    "prepare.py tokenizer=bpe tokenizer.subword_vocabulary=5": ["subword_vocabulary=5", "or more"],
    "prepare.py drop_leaks=exact": ["drop_leaks='exact'", "'tokens', 'words' or 'near'"],
    "prepare.py processes=0": ["processes=0", "1 or more, or null"],
    "download.py dataset.path=nowhere/*.csv": ["dataset.path='nowhere/*.csv'", "no file matches"],
    "train.py data=/nowhere": ["/nowhere contains no prepared data", "prepare.py dataset=NAME output=/nowhere"],
    "train.py output=/proc/x": ["/proc/x cannot be written: No such file or directory"],
    "train.py hydra.run.dir=/proc/x": ["/proc/x cannot be written: No such file or directory"],
    "prepare.py output=/proc/x": ["/proc/x cannot be written: No such file or directory"],
    "evaluate.py model=gru": ["models/demo_reviews/gru/1", "train.py dataset=demo_reviews model=gru seed=1"],
    "compare.py dataset=imdb": ["imdb", "python pipelines/evaluate.py"],
    "compare.py plan=parms.yaml": ["plan=parms.yaml", "params.yaml"],
    "register.py level=2": ["level=2", "between 0 and 1"],
    "register.py cost=size": ["cost='size'", "'parameters', 'training_seconds' or 'tokens_per_second'"],
    "rollback.py dataset=imdb": ["dataset=imdb", "no champion"],
    "rollback.py version=99": ["version=99", "no such version of demo_reviews; accepted: 1"],
    "rollback.py version=first": ["version='first'", "integer"],
    "download.py dataset.path=nowhere": ["dataset.path='nowhere'", "owner/name"],
    "download.py dataset.task=parsing": ["dataset.task='parsing'", "'classification', 'labeling' or 'multilabel'"],
    "download.py dataset.splits.validation=dev": ["dataset.splits.validation='dev'", "test"],
    "download.py dataset.columns.label=stars": ["dataset.columns.label='stars'", "'text', 'label'"],
}


def fails(project: Project, command: str, *parts: str, **environment: str) -> None:
    """The command ends with status 1, prints all of `parts`, and prints no traceback."""
    done = project.run(f"python pipelines/{command}", **environment)
    printed = done.stdout + done.stderr
    assert done.returncode == 1, printed
    assert "Traceback" not in printed
    for words in parts:
        assert words in printed


@pytest.mark.parametrize("command", MISTAKES)
def test_a_wrong_option_is_named_with_what_is_accepted(reproduced: Project, command: str) -> None:
    fails(reproduced, command, *MISTAKES[command])


def test_an_unknown_key_in_a_model_file_is_named(reproduced: Project) -> None:
    (reproduced.root / "conf/model/mine.yaml").write_text(
        (reproduced.root / "conf/model/lstm.yaml").read_text().replace("num_layers", "layers")
    )
    fails(reproduced, "train.py model=mine", "model.encoder.layers", "did you mean 'num_layers'?")


def test_an_unreachable_hub_is_named(reproduced: Project) -> None:
    fails(
        reproduced,
        "download.py dataset=rotten_tomatoes output=data/raw/unreachable",
        "http://127.0.0.1:9",
        "cannot be reached",
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    assert not (reproduced.root / "data/raw/unreachable").exists()


def test_an_unreachable_tracking_server_is_named(reproduced: Project) -> None:
    fails(
        reproduced,
        "train.py model=fcnn hydra.run.dir=elsewhere",
        "MLFLOW_TRACKING_URI='http://127.0.0.1:9'",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
    )


WriteDataset = Callable[[dict[str, list[object]]], Path]


@pytest.fixture
def dataset(tmp_path: Path) -> WriteDataset:
    """A folder with the same columns in each split."""

    def write(columns: dict[str, list[object]]) -> Path:
        for split in ("train", "validation", "test"):
            pq.write_table(pa.table(columns), tmp_path / f"{split}.parquet")
        return tmp_path

    return write


def prepare_fails(project: Project, folder: Path, *parts: str) -> None:
    project.ok(f"python pipelines/download.py dataset.path={folder} output=data/raw/bad")
    fails(project, "prepare.py raw=data/raw/bad output=data/prepared/bad", *parts)
    assert not (project.root / "data/prepared/bad").exists()


def test_a_folder_without_data_is_named(reproduced: Project, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Nothing here yet\n")
    fails(reproduced, f"download.py dataset.path={tmp_path} output=data/raw/bad", str(tmp_path), "parquet")
    assert not (reproduced.root / "data/raw/bad").exists()


def test_a_missing_column_is_named(reproduced: Project, dataset: WriteDataset) -> None:
    folder = dataset({"sentence": ["good", "bad"], "label": ["x", "y"]})
    command = f"download.py dataset.path={folder} output=data/raw/bad"
    fails(reproduced, command, "dataset.columns.text='text'", "['sentence', 'label']")


def test_labels_outside_the_declared_names_are_named(reproduced: Project, dataset: WriteDataset) -> None:
    folder = dataset({"text": ["good", "bad", "so so"], "label": ["positive", "negative", "mixed"]})
    project = reproduced
    project.ok(
        f"python pipelines/download.py dataset.path={folder} output=data/raw/bad "
        "'+dataset.label_names=[negative,positive]'"
    )
    command = "prepare.py raw=data/raw/bad output=data/prepared/bad"
    fails(project, command, "unknown label 'mixed'", "accepted labels: negative, positive")


def test_empty_texts_are_counted(reproduced: Project, dataset: WriteDataset) -> None:
    folder = dataset({"text": ["good", "", "  "], "label": ["x", "y", "y"]})
    prepare_fails(reproduced, folder, "2 of 3 rows", "empty text", "first: row 1")
