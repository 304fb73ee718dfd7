"""Finds the sources of a corpus, and makes it unless it is up to date; for use within a stage."""

import logging
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from unroll.arguments import check_arguments
from unroll.checks import check_choice, check_name
from unroll.config import compose_again
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.files import read_mapping, sha256
from unroll.locks import output_lock
from unroll.pretraining.building import CorpusOptions, build_corpus, coverage
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.sources import Dataset, TextSource
from unroll.source_files import source_files

log = logging.getLogger("unroll")

EVALUATIONS = ("validation", "test")
LITTLE = 0.5  # share of the tokens of a dataset; if a corpus has fewer of them, there is a warning
_CODE = ("unroll.pretraining.building", "unroll.pretraining.sources")


class CorpusFolder:
    """A corpus, given by its configuration.

    Args:
        name: of its file in ``conf/corpus``.
        config: the resolved configuration of the pretrain stage.

    Raises:
        ValueError: an option is not accepted, or a dataset or file is missing.
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name, self._config = name, config
        check_arguments(CorpusOptions, config["corpus"], "corpus")
        self.options = CorpusOptions(**config["corpus"])
        tokenizer = TokenizerOptions(**config["tokenizer"])
        if tokenizer.subwords is not None:
            raise ValueError(
                f"tokenizer.subwords={tokenizer.subwords}: weights are learned for whole words; accepted: null"
            )
        self.tokenizer = Tokenizer(tokenizer)
        self.sources = {key: self._source(key, arguments) for key, arguments in self.options.sources.items()}
        self.path = Path(config["corpora"]) / name
        self._datasets = {
            key: self._dataset(source.dataset, f"corpus.sources.{key}.dataset")
            for key, source in self.sources.items()
            if source.dataset is not None
        }
        self._excluded = self._find_excluded()
        self._inputs = self._find_inputs()

    @property
    def origin(self) -> str:
        """The datasets and paths, in one line."""
        return ", ".join(source.dataset or str(source.path) for source in self.sources.values())

    def _source(self, key: str, arguments: dict[str, Any]) -> TextSource:
        where = f"corpus.sources.{key}"
        check_name("corpus.sources", key)
        check_arguments(TextSource, arguments, where)
        try:
            return TextSource(**arguments)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def _dataset(self, name: str, where: str) -> Dataset:
        check_choice(where, name, sorted(file.stem for file in Path("conf/dataset").glob("*.yaml")))
        declared = compose_again("download", [f"dataset={name}"])["dataset"]
        check_arguments(Source, declared, "dataset")
        return Dataset(name, Source(**declared), Path(self._config["raw"]) / name, Path(self._config["data"]) / name)

    def make(self) -> tuple[TokenCorpus, dict[str, Any], dict[str, float]]:
        """The corpus, its description, and the share of each dataset's training tokens that it has the words of.

        An up-to-date corpus is not made again. Another process that makes it is waited for.
        """
        with output_lock(self.path, wait=True):
            description = read_mapping(self.path / TokenCorpus.DESCRIPTION)
            if description.get("inputs") != self._inputs:
                description = self._build()
                print(f"{self.path}: {summary(description)}", flush=True)
            corpus = TokenCorpus.load(self.path, f"delete it: rm -r {self.path}")
        return corpus, description, self._coverage(corpus)

    def _find_excluded(self) -> list[Dataset]:
        """The datasets whose validation and test texts are left out."""
        if self.options.exclude is not None:
            return [self._dataset(name, "corpus.exclude") for name in self.options.exclude]
        present = sorted(file.parent.name for file in Path(self._config["raw"]).glob("*/manifest.json"))
        known = [name for name in present if Path(f"conf/dataset/{name}.yaml").is_file()]
        if unknown := sorted(set(present) - set(known)):
            log.warning(
                "warning: %s: nothing in conf/dataset says which texts of %s are for evaluations; they are not left "
                "out of the corpus",
                self._config["raw"],
                ", ".join(unknown),
            )
        return [self._dataset(name, "corpus.exclude") for name in known]

    def _find_inputs(self) -> dict[str, Any]:
        """What the corpus depends on."""
        sources = {
            key: self._datasets[key].identity(["train"])
            if key in self._datasets
            else source.identity(f"corpus.sources.{key}")
            for key, source in self.sources.items()
        }
        options = {key: value for key, value in vars(self.options).items() if key not in ("sources", "exclude")}
        return {
            "sources": sources,
            "excluded": {it.name: it.identity(EVALUATIONS) for it in self._excluded},
            "options": options,
            "tokenizer": self._config["tokenizer"],
            "code": sha256(*sorted(source_files(_CODE))),
        }

    def _build(self) -> dict[str, Any]:
        facts = {
            "name": self.name,
            "inputs": self._inputs,
            "sources": {key: vars(source) for key, source in self.sources.items()},
            "licence": self.options.licence,
        }
        with tempfile.TemporaryDirectory() as cache:
            sources = {
                key: self._datasets[key].documents("train")
                if key in self._datasets
                else source.documents(f"corpus.sources.{key}", cache)
                for key, source in self.sources.items()
            }
            excluded = {
                f"{split} of {it.name}": it.documents(split) for it, split in product(self._excluded, EVALUATIONS)
            }
            processes = self._config["processes"]
            return build_corpus(sources, excluded, self.tokenizer, self.options, self.path, facts, processes)

    def _coverage(self, corpus: TokenCorpus) -> dict[str, float]:
        found = {}
        for name, dataset in {it.name: it for it in [*self._datasets.values(), *self._excluded]}.items():
            if not (dataset.prepared / "dataset.json").is_file():
                continue
            found[name] = coverage(corpus, PreparedData(dataset.prepared))
            if found[name] < LITTLE:
                log.warning(
                    "warning: corpus=%s has the words of %.0f%% of the tokens of %s, which will gain little from it",
                    self.name,
                    100 * found[name],
                    name,
                )
        return found


def summary(description: Mapping[str, Any]) -> str:
    """The numbers of a corpus in one line."""
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in description["dropped"].items())
    return (
        f"{description['documents'] + description['held_out_documents']:,} texts, {description['tokens']:,} tokens, "
        f"{description['words']:,} words; left out: {dropped or 'none'}"
    )
