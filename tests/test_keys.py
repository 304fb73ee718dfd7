"""Overrides of every group, with and without Hydra's prefixes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import unroll.stage  # noqa: F401 (it lets overrides set every accepted key)
from unroll.config import source_of
from unroll.keys import _apply


@pytest.fixture(scope="module", autouse=True)
def hydra(project: object) -> Iterator[None]:
    with initialize_config_dir(f"{project}/conf", version_base="1.3"):
        yield


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("train", "trainer.limit_train_batches", 0.1),
        ("train", "trainer.max_steps", 7),
        ("train", "optimizer.betas", [0.8, 0.9]),
        ("train", "dataset.revision", "abc"),
        ("download", "dataset.tag_scheme", "bioes"),
        ("prepare", "tokenizer.lowercase", False),
        ("train", "model.hidden_size", 3),  # that the file spells
        ("train", "seed", 2),
    ],
)
@pytest.mark.parametrize("prefix", ["", "++"])
def test_every_argument_of_a_group_can_be_set(stage: str, key: str, value: object, prefix: str) -> None:
    assert OmegaConf.select(compose(stage, [f"{prefix}{key}={value}"]), key) == value


def test_a_key_that_the_file_does_not_spell_may_have_a_plus() -> None:
    assert compose("train", ["+trainer.max_steps=7"]).trainer.max_steps == 7


def test_an_argument_of_a_part_can_be_set_where_the_file_does_not_spell_it() -> None:
    with_gru = ["model=gru", "~model.encoder.bidirectional"]
    assert "bidirectional" not in compose("train", with_gru).model.encoder
    assert compose("train", [*with_gru, "model.encoder.bidirectional=true"]).model.encoder.bidirectional is True


def test_a_dataset_is_read_with_the_keys_that_its_file_does_not_spell() -> None:
    assert source_of(compose("download", ["dataset.tag_scheme=iob1"])).tag_scheme == "iob1"


@pytest.mark.parametrize(
    ("stage", "override", "said"),
    [
        ("train", "+foo=1", r"^foo: unknown key; accepted: dataset, "),
        ("train", "++sede=1", r"^sede: unknown key \(did you mean 'seed'\?\); accepted: "),
        ("train", "sede=1", r"^sede: unknown key \(did you mean 'seed'\?\); accepted: "),
        (
            "train",
            "trainer.limit_train_batch=1",
            r"^trainer\.limit_train_batch: .*\(did you mean 'limit_train_batches'\?\)",
        ),
        (
            "train",
            "+trainer.foo=1",
            r"^trainer\.foo: .*accepted: accelerator, ((?!fast_dev_run|max_time|logger).)*$",
        ),
        ("train", "~trainer.foo", r"^trainer\.foo: unknown key; accepted: accelerator, .*max_epochs"),
        ("train", "seed.x=1", r"^seed\.x=1: seed is a value without keys$"),
        ("train", "+hydra.foo=1", r"^hydra\.foo: unknown key; accepted: "),
        ("train", "+optimizer.learning_rate=1", r"^optimizer\.learning_rate: .*accepted: .*lr, .*betas"),
        ("train", "+optimizer.params=1", r"^optimizer\.params: unknown key"),  # the code passes them
        ("train", "+scheduler.total_steps=1", r"^scheduler\.total_steps: unknown key; accepted: .*warmup$"),
        ("train", "model.encoder.layers=2", r"^model\.encoder\.layers: unknown key.*; accepted: .*num_layers"),
        (
            "train",
            "+model.encoder.cell.size=2",
            r"^model\.encoder\.cell\.size: unknown key.*accepted: .*weight_dropout",
        ),
        ("download", "+dataset.tag_schema=iob1", r"^dataset\.tag_schema: .*\(did you mean 'tag_scheme'\?\)"),
        ("prepare", "+tokenizer.lower=true", r"^tokenizer\.lower: .*lowercase"),
        ("compare", "+leve=1", r"^leve: unknown key \(did you mean 'level'\?\)"),
    ],
)
def test_a_key_that_nothing_reads_is_refused_with_the_nearest(stage: str, override: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compose(stage, [override])


@pytest.mark.parametrize("prefix", ["", "+"])
def test_keys_that_the_user_names_can_be_any(prefix: str) -> None:
    columns = compose("download", [f"{prefix}dataset.columns.text_pair=other"]).dataset.columns
    assert columns == {"text": "text", "label": "label", "text_pair": "other"}


def test_a_key_of_an_empty_file_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf/optimizer").mkdir(parents=True)
    (tmp_path / "conf/optimizer/adamw.yaml").touch()
    (tmp_path / "conf/optimizer/sgd.yaml").write_text("lr: 1\n")
    monkeypatch.chdir(tmp_path)
    overrides = OverridesParser.create().parse_overrides(["optimizer.lr=0.1"])
    with pytest.raises(ValueError, match=r"^optimizer\.lr=0\.1: conf/optimizer/adamw\.yaml has no keys; "):
        _apply(overrides, OmegaConf.create({"optimizer": {}}))
