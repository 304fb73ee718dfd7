"""A linear-chain CRF on word features, by CRFsuite."""

import tempfile
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unroll.baselines.base import Baseline
from unroll.baselines.word_features import WordFeatures
from unroll.checks import check_least, first_names
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.files import write_bytes

if TYPE_CHECKING:
    from pycrfsuite import Tagger

FILE = "model.crfsuite"


class CRFSuite(Baseline):
    """A conditional random field (Lafferty et al. 2001) on `WordFeatures`, fitted by CRFsuite's L-BFGS.

    The predicted labels are the best path, the probabilities are the marginals. c1 and c2, the strengths of the L1 and
    the L2 regularisation, are not chosen on validation, since each candidate would take a training. Features that occur
    less than `min_count` times in the training split are left out.
    """

    tasks = TOKEN_TASKS

    def __init__(
        self,
        task: Task,
        label_names: list[str],
        vocabulary: list[str],
        alphabet: list[str],
        c1: float,
        c2: float,
        max_iterations: int,
        min_count: int,
    ) -> None:
        from pycrfsuite import Tagger

        super().__init__(task, label_names)
        check_least(0, c1=c1, c2=c2)
        check_least(1, max_iterations=max_iterations, min_count=min_count)
        self._options = {"c1": c1, "c2": c2, "max_iterations": max_iterations, "feature.minfreq": min_count}
        self._features = WordFeatures(vocabulary, alphabet)
        self._model = b""
        self._tagger = Tagger()
        self._chain: _Chain | None = None

    @property
    def num_parameters(self) -> int:
        """Number of non-zero weights, the only ones that CRFsuite stores."""
        weights = self._tagger.info()
        return len(weights.state_features) + len(weights.transitions)

    def fit(self, train: EncodedSplit, validation: EncodedSplit) -> None:
        from pycrfsuite import Trainer

        trainer = Trainer("lbfgs", self._options, verbose=False)
        for features, labels in zip(self._features.extract(train), train.tags, strict=True):
            trainer.append(features, [self.label_names[label] for label in labels])
        with tempfile.TemporaryDirectory() as folder:
            trainer.train(f"{folder}/{FILE}")
            self.load(Path(folder))

    def predict(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        columns = {name: i for i, name in enumerate(self.label_names)}
        trained = self._tagger.labels()  # labels of the training split
        predictions = []
        for features in self._features.extract(split):
            labels = np.array([columns[name] for name in self._tagger.tag(features)])  # (T,)
            probabilities = np.zeros((len(labels), len(columns)))  # (T, L)
            for name in trained:
                probabilities[:, columns[name]] = [self._tagger.marginal(name, step) for step in range(len(labels))]
            predictions.append(Prediction(labels, probabilities))
        return predictions

    def predict_chains(self, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        if self._chain is None:
            self._chain = _Chain(self._tagger, self.label_names)
        predictions = self.predict(split, batch_size)
        following = map(self._chain.following, self._features.extract(split))
        return [
            it._replace(following=own, transitions=self._chain.transitions)
            for it, own in zip(predictions, following, strict=True)
        ]

    def save(self, folder: Path) -> None:
        write_bytes(folder / FILE, self._model)

    def load(self, folder: Path) -> None:
        self._model = (folder / FILE).read_bytes()
        # CRFsuite itself reads beyond the end of another file.
        if self._model[:4] != b"lCRF" or int.from_bytes(self._model[4:8], "little") != len(self._model):
            raise ValueError(f"{FILE} is no complete model of CRFsuite")
        self._tagger.open_inmemory(self._model)
        self._chain = None
        if unknown := sorted(set(self._tagger.labels()) - set(self.label_names)):
            raise ValueError(f"{FILE} has the label {unknown[0]!r}; accepted: {first_names(self.label_names)}")


class _Chain:
    """How labels depend on each other, which CRFsuite computes but does not tell; its weights have 6 decimals.

    See `unroll.data.tokens.Posterior` for `transitions` and `following`.
    """

    def __init__(self, tagger: "Tagger", label_names: list[str]) -> None:
        weights, columns = tagger.info(), {name: i for i, name in enumerate(label_names)}
        self.transitions = np.zeros((len(columns), len(columns)))
        for (before, after), weight in weights.transitions.items():
            self.transitions[columns[before], columns[after]] = weight
        self._rows = {feature: row for row, feature in enumerate({feature for feature, _ in weights.state_features})}
        self._weights = np.zeros((len(self._rows) + 1, len(columns)))  # the last row is of unknown features
        for (feature, name), weight in weights.state_features.items():
            self._weights[self._rows[feature], columns[name]] = weight
        trained = {columns[name] for name in tagger.labels()}
        self._weights[:, [column for column in columns.values() if column not in trained]] = -np.inf

    def following(self, features: list[list[str]]) -> np.ndarray:
        """The features of T tokens → (T, L)."""
        rows = [self._rows.get(feature, len(self._rows)) for of_token in features for feature in of_token]
        starts = list(accumulate((len(of_token) for of_token in features[:-1]), initial=0))
        scores: np.ndarray = np.add.reduceat(self._weights[rows], starts)
        for step in range(len(scores) - 2, -1, -1):
            scores[step] += np.logaddexp.reduce(self.transitions + scores[step + 1], axis=1)
        return scores
