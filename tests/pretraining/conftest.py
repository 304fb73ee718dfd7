"""Small corpora."""

from collections.abc import Callable
from pathlib import Path

import pytest

from unroll.data.tokenizer import Tokenizer
from unroll.pretraining.building import CorpusOptions, build_corpus
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.sources import Document

Build = Callable[..., TokenCorpus]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A function that builds a corpus of documents, without those of `excluded`, and loads it."""

    def run(documents: list[Document], excluded: list[Document] | None = None, **options: object) -> TokenCorpus:
        chosen = CorpusOptions({"texts": {"path": "texts"}}, **{"held_out": 0.0, **options})  # type: ignore[arg-type]
        others = {"test of others": iter([excluded])} if excluded is not None else {}
        folder = tmp_path / "corpora" / "mine"
        build_corpus({"texts": iter([documents])}, others, Tokenizer(), chosen, folder, {}, processes=1)
        return TokenCorpus.load(folder)

    return run
