"""Which errors are one line, and what that line says."""

import errno
import sys
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException, InstantiationException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unroll.exceptions import clear_errors, is_mistake, message
from unroll.side_by_side import attempt


def load(path: Path) -> Exception:
    """The error of reading a configuration as Hydra does."""
    with pytest.raises(Exception) as found, path.open(encoding="utf-8") as file:
        OmegaConf.load(file)
    return found.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", "{path}, line 3: not YAML: expected ',' or ']', but got ':'"),
        (b"a: 1\nb: \xff\n", "{path}: byte 9 is not UTF-8 text"),
        (b"a: \x00\n", "{path}: not YAML: unacceptable character #x0000: special characters are not allowed"),
    ],
)
def test_a_configuration_that_is_not_yaml_is_one_line_with_the_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "lstm.yaml"
    path.write_bytes(content)
    error = load(path)
    assert is_mistake(error)
    assert message(error) == said.format(path=path)


def refuse(number: int) -> None:
    raise OSError(number, "refused", "models/a")


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EDQUOT, "Disk quota exceeded"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "Permission denied"),
        (errno.EFBIG, "File too large"),
    ],
)
def test_a_refusal_of_the_file_system_is_one_line_in_a_command_and_in_a_worker(number: int, cause: str) -> None:
    line = f"models/a: {cause}; the same command goes on when that is mended"
    with pytest.raises(SystemExit) as end, clear_errors():
        refuse(number)
    assert end.value.code == f"error: {line}"
    assert attempt(refuse, 0, number).error == line


def test_another_error_is_a_bug_in_a_worker_too() -> None:
    assert not is_mistake(KeyError("surprise"))
    assert "this is a bug in unroll" in str(attempt({}.__getitem__, 0, "surprise").error)


def test_errors_are_told_where_hydra_and_yaml_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [it for it in sys.modules if it.partition(".")[0] in ("hydra", "omegaconf", "yaml")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("hydra", "omegaconf", "yaml"):
        monkeypatch.setitem(sys.modules, name, None)
    assert is_mistake(ValueError("a=1; accepted: 2"))
    assert message(ValueError("a=1; accepted: 2")) == "a=1; accepted: 2"
    assert not is_mistake(KeyError("surprise"))


def test_a_configuration_with_too_many_brackets_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lstm.yaml"
    path.write_text("[" * 5000)
    error = load(path)
    assert is_mistake(error)
    assert message(error) == f"{path}: too many nested brackets"
    assert not is_mistake(RecursionError())


def test_of_an_error_of_the_configuration_the_key_and_the_first_line_are_shown() -> None:
    with pytest.raises(OmegaConfBaseException) as caught:
        OmegaConf.create({"data": "${nothing}"}).data  # noqa: B018
    assert message(caught.value) == "data: Interpolation key 'nothing' not found"


def test_a_group_without_any_key_is_named_with_its_folder() -> None:
    config = OmegaConf.create({"trainer": {}})
    OmegaConf.set_struct(config, True)
    with pytest.raises(OmegaConfBaseException) as caught:
        config.trainer.max_epochs  # noqa: B018
    assert message(caught.value) == (
        "trainer.max_epochs: missing, as is every key of trainer; is its file in conf/trainer/ empty?"
    )


def test_a_part_that_cannot_be_built_is_named_by_its_key() -> None:
    config = OmegaConf.create({"part": {"_target_": "datetime.timedelta", "days": "x"}})
    with pytest.raises(InstantiationException) as caught:
        instantiate(config.part)
    assert message(caught.value).startswith("part: Error in call to target 'datetime.timedelta': TypeError(")


def test_an_error_of_hydra_without_a_text_is_its_cause() -> None:
    error = ConfigCompositionException()
    error.__cause__ = ValueError("lr=-1; accepted: above 0")
    assert message(error) == "lr=-1; accepted: above 0"


@pytest.mark.parametrize(
    ("typed", "where"),
    [([], " (in conf/model/mine.yaml)"), (["model=mine"], " (in conf/model/mine.yaml)"), (["model=grru"], "")],
)
def test_a_choice_that_a_file_names_is_told_with_the_file(
    typed: list[str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *typed])
    error = MissingConfigException("In 'model/mine': Could not find 'model/grru'", "model/grru", ["gru", "lstm"])
    assert message(error) == f"model=grru: no such choice{where}; accepted: gru, lstm"


def test_a_default_without_a_file_is_told_with_the_file_that_names_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    error = ConfigCompositionException("In 'model/mine': Could not load 'model/grru'.")
    said = "conf/model/mine.yaml: its defaults name grru, which is no file in conf/model (did you mean 'gru'?)"
    assert message(error).startswith(f"{said}; accepted: awd_lstm, bilstm, ")


def test_of_an_error_that_announces_its_text_two_lines_are_shown() -> None:
    assert message(ConfigCompositionException("In 'train': ValidationError raised:\nValue 'x'\n  full_key: a")) == (
        "In 'train': ValidationError raised: Value 'x'"
    )
