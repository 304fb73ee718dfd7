"""Every key that the documentation has can be typed as it is, whether or not the chosen file spells it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

import unroll.stage  # noqa: F401 (it lets overrides set every accepted key)
from unroll.config import source_of
from unroll.data.source import Source
from unroll.pretraining.building import CorpusOptions
from unroll.pretraining.skipgram import SkipGram
from unroll.pretraining.sources import TextSource

PROJECT = Path(__file__).parents[2]
MODELS = ["elman", "bilstm_char_crf", "awd_lstm", "tfidf", "crfsuite"]  # have the keys of all others
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
STAGES = {"dataset": "download", "tokenizer": "prepare", "hydra": "train"}  # others: train
STAGES |= dict.fromkeys(("corpus", "pretraining"), "pretrain")


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        yield


def table(document: str, header: str) -> list[str]:
    """The keys in the first column of the table with this header."""
    rows = (PROJECT / document).read_text().partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [key for row in rows for key in re.findall(r"`([a-z_0-9.]+)`", row.split("|")[1])]


DATASET = {
    "task": "labeling",
    "path": "data/mine",
    "name": "small",
    "revision": "abc",
    "columns": {"tokens": "0", "labels": "3"},
    "format": "conll",
    "splits": {"train": "a.txt", "validation": None, "test": None},
    "label_names": ["O", "B-PER", "I-PER"],
    "tag_scheme": "iob1",
    "sha256": {"a.txt": "0" * 64},
}


def test_every_key_of_a_dataset() -> None:
    assert table("docs/data.md", "| key | meaning | default |") == list(DATASET)
    typed = ["dataset.task=labeling", "dataset.path=data/mine", "dataset.name=small", "dataset.revision=abc"]
    typed += ['dataset.columns={tokens: "0", labels: "3"}', "dataset.format=conll", "dataset.tag_scheme=iob1"]
    typed += ["dataset.splits={train: a.txt, validation: null, test: null}", "dataset.label_names=[O,B-PER,I-PER]"]
    typed += [f'dataset.sha256={{a.txt: "{"0" * 64}"}}']
    for stage in ("download", "prepare", "train", "compare", "register", "drift"):
        config = compose(stage, ["dataset=demo_entities", *typed])
        assert source_of(config) == Source(**DATASET)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "header", "stage"),
    [
        ("docs/drift.md", "| key in `conf/drift.yaml` | meaning | default |", "drift"),
        ("docs/registry.md", "| key in `conf/register.yaml` | meaning | default |", "register"),
    ],
)
def test_every_key_of_a_stage(document: str, header: str, stage: str) -> None:
    keys = table(document, header)
    assert keys
    config = compose(stage, [f"{key}=null" for key in keys])
    assert [config[key] for key in keys] == [None] * len(keys)


def test_every_key_of_a_corpus() -> None:
    for header, read in (("| key of a source |", TextSource), ("| key of a corpus |", CorpusOptions)):
        keys = table("docs/pretraining.md", f"{header} meaning | default |")
        assert sorted(keys) == sorted(inspect.signature(read).parameters)


def test_every_option_of_word_vectors() -> None:
    keys = {key.rpartition(".")[2] for key in table("docs/pretraining.md", "| option | meaning | default |")}
    assert keys == {*inspect.signature(SkipGram).parameters, "seed", "threads"}


def test_every_option_of_preparing() -> None:
    text = (PROJECT / "docs/data.md").read_text().partition("Options of the prepare stage")[2]
    keys = re.findall(r"`([a-z_]+)`", " ".join(row.split("|")[1] for row in text.splitlines() if row.startswith("| `")))
    assert len(keys) > 5
    config = compose("prepare", [f"{key}=null" for key in keys])
    assert [config[key] for key in keys] == [None] * len(keys)


def arguments(config: Any, where: str) -> Iterator[str]:
    """The optional arguments of everything that `config` builds, as keys."""
    if isinstance(config, DictConfig):
        if "_target_" in config:
            parameters = inspect.signature(get_object(config["_target_"])).parameters.values()
            yield from (f"{where}.{it.name}" for it in parameters if it.default is not it.empty)
        for key, value in config.items():
            yield from arguments(value, f"{where}.{key}")


@pytest.mark.parametrize(
    ("group", "name"),
    [("model", name) for name in MODELS]
    + [("optimizer", "adamw"), ("scheduler", "linear"), ("scheduler", "constant"), ("trainer", "auto")]
    + [("scheduler", "slanted_triangular")],
)
def test_every_argument_of_what_a_file_builds(group: str, name: str) -> None:
    chosen = f"{group}={name}"
    plain = compose("train", [chosen])
    keys = [key for key in arguments(plain[group], group) if not isinstance(OmegaConf.select(plain, key), DictConfig)]
    config = compose("train", [chosen, *(f"{key}=null" for key in keys)])
    assert [OmegaConf.select(config, key) for key in keys] == [None] * len(keys)


def typed() -> list[str]:
    """The overrides of a key in a group, in the documents' code."""
    text = "\n".join(file.read_text() for file in DOCUMENTS)
    code = " ".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    found = re.findall(
        r"(?<![\w.+])((?:corpus|dataset|model|pretraining|optimizer|scheduler|finetune|trainer|tokenizer|hydra)"
        r"\.[a-z_0-9.]+=\S+)",
        code,
    )
    found = [it.rstrip("\"'") for it in found]  # the end of what a shell reads as one word
    return sorted({it for it in found if not re.search(r"[(…]|=[^\[]*,", it)})  # without those of sweeps


@pytest.mark.parametrize("override", typed())
def test_every_override_in_the_documents(override: str) -> None:
    group = override.partition(".")[0]
    choices = [[f"model={name}"] for name in MODELS] if group == "model" else [[]]
    if group == "hydra":
        choices = [[f"hydra/{override.split('.')[1]}={name}"] for name in ("optuna", "joblib")]
    failed = []
    for chosen in choices:
        try:
            compose(STAGES.get(group, "train"), [*chosen, override], return_hydra_config=True)
            return
        except Exception as error:
            failed.append(f"{chosen}: {error}")
    pytest.fail("\n".join(failed))
