"""Training, as in the train stage, and decoding of the shipped models on public datasets."""

from collections.abc import Iterator

import torch

from benchmarks.corpora import Corpora
from benchmarks.fit import SEED, fitting, sequences, tokens
from benchmarks.shipped import configuration, model
from benchmarks.timing import Row, alternate, rate_row, timed
from benchmarks.tutorial import Classifier, training
from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.prepared import PreparedData
from unroll.nn import SequenceModel

BATCH = 32
OUR_BATCHES, THEIR_BATCHES = 60, 12  # of imdb per repeat, different ones each time
DECODING_BATCH = 256


def rows(corpora: Corpora) -> Iterator[Row]:
    imdb, conll2003 = corpora.public("imdb"), corpora.public("conll2003")
    torch.manual_seed(SEED)
    tagger = model("bilstm_char_crf", conll2003)
    yield training_of_conll2003(tagger, conll2003, corpora)
    yield decoding_of_conll2003(tagger, conll2003)
    yield training_of_imdb(imdb, corpora)


def training_of_conll2003(tagger: SequenceModel, data: PreparedData, corpora: Corpora) -> Row:
    batches = ShuffledBatches(data.split("train"), SEED, BATCH, characters=tagger.reads_characters)
    (seconds,), repeats = alternate(fitting(tagger, data, batches, sequences, corpora.work))
    title = f"conll2003, bilstm_char_crf, training, a whole epoch, batch {BATCH}"
    return Row(title, 1 / seconds, "sentences/s", repeats=repeats)


def decoding_of_conll2003(tagger: SequenceModel, data: PreparedData) -> Row:
    split = data.split("test")
    batches = SequentialBatches(split, DECODING_BATCH, characters=tagger.reads_characters)

    @torch.inference_mode()
    def decode() -> None:
        for batch in batches:
            tagger.head.decode(tagger(batch.tokens), batch.tokens.lengths)

    tagger.eval()
    (seconds,), repeats = alternate(timed(decode, len(split)))
    title = f"conll2003, bilstm_char_crf, decoding the test split, batch {DECODING_BATCH}"
    return Row(title, 1 / seconds, "sentences/s", repeats=repeats)


def training_of_imdb(data: PreparedData, corpora: Corpora) -> Row:
    split, sizes = data.split("train"), configuration("model", "bilstm")
    embedding_size = sizes["embedding_size"] + sizes["casing_size"]
    tutorial = Classifier(
        len(data.schema.vocabulary), len(data.label_names), embedding_size, sizes["hidden_size"], sizes["dropout"]
    )
    batches = ShuffledBatches(split, SEED, BATCH)
    medians = alternate(
        fitting(model("bilstm", data), data, batches, tokens, corpora.work, OUR_BATCHES),
        training(tutorial, split, BATCH, THEIR_BATCHES),
    )
    title = f"imdb, bilstm, training, batch {BATCH}, {OUR_BATCHES} and {THEIR_BATCHES} fresh batches a repeat"
    return rate_row(title, "tokens", "random batches, nn.LSTM packed, Adam", medians)
