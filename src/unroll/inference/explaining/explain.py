"""Explains what a trained network makes of one text, and how far it feels the tokens of many."""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from unroll.data.batches import collate
from unroll.data.encoding import written_tokens
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.schema import DataSchema
from unroll.inference.explaining.explanation import Explanation
from unroll.inference.explaining.gradients import Sensitivity, mean_sensitivity, sensitivity
from unroll.inference.explaining.occlusion import influence, occlude
from unroll.inference.explaining.prefixes import read_prefixes
from unroll.inference.explaining.reading import bias_of, explained_labels, is_per_token, read_vectors
from unroll.inference.predictor import Predictor
from unroll.nn import SequenceModel


def network_of(predictor: Predictor) -> SequenceModel:
    """The network that predicts, in PyTorch, on the CPU; raises ValueError if it is a baseline or an exported model."""
    network = getattr(predictor.model, "model", None)
    if not isinstance(network, SequenceModel):
        what = type(network or predictor.model).__name__
        raise ValueError(f"a model of the kind {what}; accepted: a network with its weights, in the folder of a run")
    if next(network.parameters()).device.type == "cpu":
        return network
    return copy.deepcopy(network).to("cpu")  # the arrays of an explanation are small, and made one after the other


def explain(predictor: Predictor, text: str | Sequence[str]) -> Explanation:
    """Explain one text, pair of texts or list of tokens, whatever `Predictor.predict` reads.

    The time is quadratic in the number of tokens.

    Raises:
        ValueError: the model is no network in PyTorch, or it cannot use the text.
    """
    network = network_of(predictor)
    source, split = predictor.encode(text)
    return _explain(network, predictor.model.schema, source.tokens, split, 0)


def explain_example(predictor: Predictor, data: PreparedData, example: int, split: str = "test") -> Explanation:
    """Explain an example of prepared data; raises ValueError as `explain_data` does."""
    network, encoded = network_of(predictor), _split_of(predictor, data, split)
    tokens = written_tokens(data.schema, data.table, encoded.sequences[example])
    return _explain(network, predictor.model.schema, tokens, encoded, example)


def _explain(
    network: SequenceModel, schema: DataSchema, names: list[str], split: EncodedSplit, example: int
) -> Explanation:
    tokens = collate(split, np.array([example]), characters=network.reads_characters).tokens
    with torch.no_grad():
        x = network.embedding(tokens)  # (1, T, E)
        scores = read_vectors(network, x, tokens.lengths).scores
        found = network.head.probabilities(scores.double(), tokens.lengths)[0]
        labels = explained_labels(network, scores, tokens.lengths).reshape(-1)  # (1,) or (T,)
    prefixes = read_prefixes(network, x)
    norms = torch.linalg.vector_norm(prefixes.states.diff(dim=0, prepend=torch.zeros_like(prefixes.states[:1])), dim=1)
    gradients = sensitivity(network, x, labels)
    return Explanation(
        task=schema.task,
        label_names=schema.label_names,
        tokens=names,
        labels=labels.numpy(),
        probabilities=found.numpy(),
        prefix_scores=prefixes.scores.numpy(),
        prefix_probabilities=prefixes.probabilities.numpy(),
        contributions=(prefixes.scores - bias_of(network)).numpy(),
        state_changes=norms.numpy(),
        sensitivity=(gradients if is_per_token(network) else gradients[0]).numpy(),
        influence=influence(found.numpy(), occlude(network, x), labels.numpy(), schema.task),
    )


def explain_data(predictor: Predictor, data: PreparedData, split: str = "test", texts: int = 200) -> Sensitivity:
    """How far the output feels a token on average, by its distance from the output; see `mean_sensitivity`.

    Raises:
        ValueError: the model is no network in PyTorch, or was trained on other data; or `texts` is below 1.
    """
    return mean_sensitivity(network_of(predictor), _split_of(predictor, data, split), texts)


def _split_of(predictor: Predictor, data: PreparedData, split: str) -> EncodedSplit:
    """A split of the data that the model was trained on; raises ValueError for other data."""
    if changed := predictor.model.schema.differences(data.schema):
        raise ValueError(
            f"{data.folder} is other data than the model was trained on (another {', '.join(changed)}); accepted: the "
            "prepared data of its training"
        )
    return data.joined(predictor.model.schema.vocabulary).split(split)
