"""A whole network as an ONNX model: embeddings, encoder and head."""

import json

import onnx

from unroll.inference.exporting.characters import CHARACTER_ENCODERS
from unroll.inference.exporting.encoders import ENCODERS, States
from unroll.inference.exporting.graph import Graph, Sequences, find_exporter
from unroll.inference.exporting.heads import DECODERS, HEADS
from unroll.inference.onnx_model import CASING, CHARACTERS, DECODER, LENGTHS, ROWS, SCORES, WORDS
from unroll.nn import SequenceModel
from unroll.nn.heads import SoftmaxHead

WORD_TABLE = "word_table"  # prefix of the name of the words' vectors


def network_model(network: SequenceModel) -> onnx.ModelProto:
    """Export a network: int64 ids of words and casings (B, T), and lengths (B,) → scores (B, L) or (B, T, L).

    A network that reads characters has two more inputs, those of `Spelling`: characters (U, C) and rows (B, T). The
    number of sequences and of steps is free. The metadata say what makes labels and probabilities of the scores.

    Raises:
        NoExporter: a part of the network cannot be exported.
    """
    graph, embedding = Graph(), network.embedding
    inputs = {WORDS: ["batch", "time"], LENGTHS: ["batch"]}
    words = graph("Transpose", WORDS, perm=[1, 0])  # (T, B)
    parts = [graph("Gather", graph.constant(embedding.words.weight, WORD_TABLE), words)]
    if embedding.casing.embedding_dim:
        inputs[CASING] = ["batch", "time"]
        casing = graph("Transpose", CASING, perm=[1, 0])
        parts.append(graph("Gather", graph.constant(embedding.casing.weight), casing))
    if embedding.characters is not None:
        inputs |= {CHARACTERS: ["spellings", "characters"], ROWS: ["batch", "time"]}
        export = find_exporter(CHARACTER_ENCODERS, embedding.characters)
        vectors = export(graph, CHARACTERS, embedding.characters)  # (U, F)
        parts.append(graph("Gather", vectors, graph("Transpose", ROWS, perm=[1, 0])))
    x = graph("Concat", *parts, axis=2)  # (T, B, I)
    sequences, encoder, head = Sequences(graph, LENGTHS, words), network.encoder, network.head
    states: States = find_exporter(ENCODERS, encoder)(sequences, x, embedding.output_size, encoder)
    scores = find_exporter(HEADS, head)(sequences, states, head)
    shape = ["batch", "label"]
    if isinstance(head, SoftmaxHead):
        scores, shape = graph("Transpose", scores, perm=[1, 0, 2]), ["batch", "time", "label"]
    graph.rename(scores, SCORES)
    model = graph.model(inputs, {SCORES: shape})
    decoder = find_exporter(DECODERS, head)(head)
    onnx.helper.set_model_props(model, {DECODER: json.dumps(decoder)})
    return model
