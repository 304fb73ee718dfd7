"""Opening and deleting checkpoints; test_resume.py resumes from them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tiny import OPTIONS, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.files import write_json
from unroll.training.checkpoints import discard_checkpoints, open_checkpoints


@pytest.mark.parametrize("change", ["parts", "options", "data", "no record"])
def test_checkpoints_of_anything_else_are_discarded(
    change: str, reviews: PreparedData, entities: PreparedData, tmp_path: Path
) -> None:
    parts = tiny_parts("lstm")
    folder = open_checkpoints(tmp_path, reviews, parts, OPTIONS)
    torch.save({"step": 1}, folder / "last.ckpt")
    assert open_checkpoints(tmp_path, reviews, tiny_parts("lstm"), replace(OPTIONS)) == folder
    assert (folder / "last.ckpt").exists()

    if change == "parts":
        open_checkpoints(tmp_path, reviews, tiny_parts("gru"), OPTIONS)
    elif change == "options":
        open_checkpoints(tmp_path, reviews, parts, replace(OPTIONS, batch_size=9))
    elif change == "data":
        open_checkpoints(tmp_path, entities, parts, OPTIONS)
    else:
        (folder / "identity.json").unlink()
        open_checkpoints(tmp_path, reviews, parts, OPTIONS)
    assert [path.name for path in folder.iterdir()] == ["identity.json"]


def test_discarded_checkpoints_are_gone_and_the_model_stays(reviews: PreparedData, tmp_path: Path) -> None:
    discard_checkpoints(tmp_path)  # no error where there are none
    open_checkpoints(tmp_path, reviews, tiny_parts("lstm"), OPTIONS)
    write_json(tmp_path / "run.json", {})
    discard_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_damaged_checkpoint_is_kept_aside_and_named(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"first", b"second"):
        folder = open_checkpoints(tmp_path, reviews, tiny_parts("lstm"), OPTIONS)
        (folder / "last.ckpt").write_bytes(content)
    open_checkpoints(tmp_path, reviews, tiny_parts("lstm"), OPTIONS)
    aside = tmp_path / "checkpoints.damaged"
    assert f"{tmp_path}: last.ckpt is damaged, kept in {aside}: starting over\n" in capsys.readouterr().out
    assert (aside / "last.ckpt").read_bytes() == b"second"
    assert [path.name for path in folder.iterdir()] == ["identity.json"]


def test_a_damaged_record_of_checkpoints_is_that_of_another_configuration(
    reviews: PreparedData, tmp_path: Path
) -> None:
    folder = open_checkpoints(tmp_path, reviews, tiny_parts("lstm"), OPTIONS)
    torch.save({"step": 1}, folder / "last.ckpt")
    (folder / "identity.json").write_text('{"parts"')
    open_checkpoints(tmp_path, reviews, tiny_parts("lstm"), OPTIONS)
    assert [path.name for path in folder.iterdir()] == ["identity.json"]
