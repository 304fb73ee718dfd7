"""Begins a network with pretrained weights: `pretrained=NAME` of a training."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unroll.arguments import locate
from unroll.data.prepared import PreparedData
from unroll.data.pretrained import Pretrained, pretrained_folder
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import PADDING, SPECIAL_WORDS
from unroll.inference.building import build_model, check_model
from unroll.nn import SequenceModel
from unroll.project import writing_command
from unroll.training.finetuning import layer_of

log = logging.getLogger("unroll")

LEAST_COVERAGE = 0.5  # of the tokens of train; below it there is a warning
WORDS, SUBWORDS = "words", "subwords"  # arrays of `Pretrained.weights`
EMBEDDING, CHARACTERS, ENCODER = "embedding.words.weight", "embedding.characters.", "encoder."
LAYERS, SEPARATE = "encoder.num_layers", "encoder.separate"
SHARED = ("embedding_size", "casing_size", "hidden_size", "encoder")  # keys of a language model that a network shares


@dataclass(frozen=True, eq=False)
class Transfer:
    """Pretrained weights, and the network and the data that they fit.

    Args:
        name: as in `pretrained=NAME`, for messages.
        pretrained: the weights.
        config: of the network; a file of ``conf/model``.
        own: the number of words in the vocabulary of the prepared data.
        data: the prepared data, with the pretrained words after their own.
    """

    name: str
    pretrained: Pretrained
    config: dict[str, Any]
    own: int
    data: PreparedData

    @classmethod
    def of(cls, name: str, config: dict[str, Any], data: PreparedData) -> "Transfer":
        """Read pretrained weights and check that a network and data fit them; no token of the data is read.

        Raises:
            ValueError: there are no such weights, they have other sizes than the network or another tokenizer than the
                data, or the data were prepared by an earlier version.
        """
        pretrained = Pretrained.load(pretrained_folder(name))
        _check_tokenizer(name, pretrained.tokenizer, data)
        _check_config(name, pretrained, config)
        return cls(name, pretrained, config, len(data.schema.vocabulary), data.joined(pretrained.vocabulary))

    def build(self) -> SequenceModel:
        """Build the network for the joined vocabulary, with the pretrained weights where it has them.

        The others are random: the head, the layers of the encoder above those of a language model, and what the
        pretrained weights do not have. If the network reads characters, the first layer of a pretrained encoder gets
        zeros for them, so that the encoder begins as what it was.

        Raises:
            ValueError: a weight of a language model is missing or has another shape than its configuration says, or
                its encoder has no columns for characters.
        """
        model = build_model(self.config, self.data.schema)
        assert isinstance(model, SequenceModel)
        with torch.no_grad():
            self._start_words(model.embedding.words.weight)
            if self.pretrained.kind == "language_model":
                self._start_encoder(model)
        return model

    def check(self) -> None:
        """Raise the errors of `build`."""
        if self.pretrained.kind == "language_model":
            self.build()

    def report(self) -> None:
        """Print how many tokens of train and words of their vocabulary have a pretrained vector; warn if few."""
        vocabulary, pretrained = self.data.schema.vocabulary, set(self.pretrained.vocabulary[len(SPECIAL_WORDS) :])
        known, size = np.array([word in pretrained for word in vocabulary]), len(vocabulary)
        counts = self.data.split("train").word_counts(size)
        coverage, own = counts[known].sum() / counts.sum(), self.own - len(SPECIAL_WORDS)
        others = "composed of their subwords" if SUBWORDS in self.pretrained.weights else "random"
        print(
            f"pretrained={self.name}: {coverage:.1%} of the tokens of train and {known[: self.own].sum():,} of the "
            f"{own:,} words of the vocabulary are pretrained, the others begin {others}; {size - self.own:,} words are "
            "added to it",
            flush=True,
        )
        if coverage < LEAST_COVERAGE:
            log.warning(
                "warning: pretrained=%s: only %.1f %% of the tokens of train are pretrained words, so it may be of "
                "another language or kind of text",
                self.name,
                100 * coverage,
            )

    def _start_words(self, weight: Tensor) -> None:
        """Set the vectors (V, E) of the words that are pretrained, and of others by their subwords.

        The rest stay random, in the scale of the pretrained ones.
        """
        vocabulary, vectors = self.data.schema.vocabulary, self.pretrained.weights[WORDS]
        ids = {word: i for i, word in enumerate(self.pretrained.vocabulary) if i != PADDING}
        rows = np.array([ids.get(word, PADDING) for word in vocabulary])
        found = np.where((rows != PADDING)[:, None], vectors[rows], 0)
        others = np.flatnonzero(rows == PADDING)[1:]  # without the padding itself
        if SUBWORDS in self.pretrained.weights and len(others):
            found[others] = self._vectors_of([vocabulary[i] for i in others])
        is_set = torch.from_numpy(found.any(axis=1))
        weight *= float(np.std(vectors[len(SPECIAL_WORDS) :])) * weight.shape[1] ** 0.5  # from the scale of the network
        weight[is_set] = torch.from_numpy(found)[is_set]

    def _vectors_of(self, words: Sequence[str]) -> np.ndarray:
        from unroll.data.subword_vectors import SubwordVectors

        vectors: np.ndarray = SubwordVectors(self.pretrained.config, self.pretrained.weights).vectors_of(words)
        return vectors

    def _start_encoder(self, model: SequenceModel) -> None:
        state = model.state_dict()
        of_characters = model.embedding.characters.output_size if model.embedding.characters else 0
        mine = {name for name in state if not name.startswith((EMBEDDING, CHARACTERS))}
        mine = {name for name in mine if layer_of(name) < _shared(self.pretrained.config).get(LAYERS, 1)}
        if differing := sorted(mine ^ (self.pretrained.weights.keys() - {WORDS})):
            raise self._refused(f"{differing[0]} is {'missing' if differing[0] in mine else 'unknown'}", of_characters)
        for name in sorted(mine):
            weight, found = state[name], torch.from_numpy(self.pretrained.weights[name])
            size = found.shape[-1] if found.ndim else 0
            if weight.shape != found.shape and name.startswith(ENCODER) and weight.shape[-1] == size + of_characters:
                weight[..., size:] = 0
                weight = weight[..., :size]
            if weight.shape != found.shape:
                raise self._refused(f"{name} is {tuple(found.shape)}, not {tuple(weight.shape)}", of_characters)
            weight.copy_(found)

    def _refused(self, reason: str, of_characters: int) -> ValueError:
        if of_characters:
            said = f"its encoder cannot read characters as well ({reason}); accepted: model.characters=null"
        else:
            said = f"{Pretrained.WEIGHTS} and {Pretrained.CONFIG} do not belong together: {reason}"
        return ValueError(f"pretrained={self.name}: {said}")


def _check_tokenizer(name: str, tokenizer: Tokenizer, data: PreparedData) -> None:
    """Check that the words of the data are made from tokens as the pretrained ones were."""
    schema: DataSchema = data.schema
    keys = ["subwords", "nfc", "lowercase", "numbers"]
    if not schema.given_tokens:  # else the rule serves only to read texts with the trained model
        keys += ["split", "html_breaks"]
    theirs, ours = (vars(it.options) for it in (tokenizer, schema.tokenizer))
    differing = [key for key in keys if theirs[key] != ours[key]]
    if differing:
        shown = ", ".join(f"{key}={theirs[key]}, not {ours[key]}" for key in differing)
        options = " ".join(f"tokenizer.{key}={'null' if theirs[key] is None else theirs[key]}" for key in differing)
        raise ValueError(
            f"pretrained={name}: its tokenizer differs from that of {data.folder} ({shown}); accepted: the same, "
            f"{writing_command('prepare', data.folder, 'data/prepared')} {options}"
        )
    if tokenizer.subwords and schema.tokenizer.subwords and tokenizer.subwords.model != schema.tokenizer.subwords.model:
        raise ValueError(
            f"pretrained={name}: its subwords are others than those of {data.folder}, which were learned from other "
            "texts; accepted: weights pretrained with whole words, and data prepared with tokenizer=words"
        )


def _check_config(name: str, pretrained: Pretrained, config: dict[str, Any]) -> None:
    """Check that a network has the sizes of pretrained weights, and of a language model the encoder."""
    check_model(config)
    mine = _shared(config)
    if pretrained.kind == "vectors":
        theirs = {"embedding_size": pretrained.weights[WORDS].shape[1]}
    else:
        try:
            check_model(pretrained.config)
        except ValueError as error:
            raise ValueError(f"pretrained={name}: its {Pretrained.CONFIG}: {error}") from None
        theirs = _shared(pretrained.config)
        mine = {SEPARATE: theirs.get(SEPARATE)} | mine  # the directions of a single layer are separate anyway
        if mine.get(LAYERS, 1) > theirs.get(LAYERS, 1):  # those on top begin as the head does
            mine[LAYERS] = theirs.get(LAYERS, 1)
    differing = [key for key, value in theirs.items() if mine.get(key) != value]
    if differing:
        shown = ", ".join(f"model.{key}={theirs[key]}, not {mine.get(key)}" for key in differing)
        options = " ".join(f"model.{key}={theirs[key]}" for key in differing)
        raise ValueError(f"pretrained={name}: its weights have {shown}; accepted: {options}")


def _shared(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values, default ones too, that decide the shapes and the meaning of the shared weights, by dotted key."""
    parameters = signature(locate(config["_target_"], f"model.{prefix}")).parameters
    defaults = {key: it.default for key, it in parameters.items() if it.default is not it.empty}
    found: dict[str, Any] = {}
    for key, value in {**defaults, **config}.items():
        if key == "_partial_" or "dropout" in key or (not prefix and key not in SHARED):
            continue
        found |= _shared(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    if found.get(LAYERS) == 1:
        found.pop(SEPARATE, None)
    return found
