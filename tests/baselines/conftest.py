"""A tiny corpus of three classes."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import FILLERS, SIZES, TOPICS
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source


@pytest.fixture(scope="session")
def three_classes(write_dataset: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Texts that contain a word of one topic, which is the label."""
    folder, draw = tmp_path_factory.mktemp("three_classes"), random.Random(5)
    splits = {}
    for split, size in SIZES.items():
        labels = [draw.choice(list(TOPICS)) for _ in range(size)]
        words = [[*draw.choices(FILLERS, k=4), draw.choice(TOPICS[label])] for label in labels]
        splits[split] = {"text": [" ".join(draw.sample(text, 5)) for text in words], "label": labels}
    source = Source("classification", str(write_dataset(folder / "hub", splits)), {"text": "text", "label": "label"})
    download(source, folder / "raw")
    prepare(source, folder / "raw", folder / "prepared", PrepareOptions())
    return PreparedData(folder / "prepared")
