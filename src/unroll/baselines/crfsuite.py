"""A linear-chain CRF on word features, by CRFsuite."""

import tempfile
from pathlib import Path

import numpy as np

from unroll.baselines.base import Baseline
from unroll.baselines.word_features import WordFeatures
from unroll.checks import check_least, first_names
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.files import write_bytes

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

    def save(self, folder: Path) -> None:
        write_bytes(folder / FILE, self._model)

    def load(self, folder: Path) -> None:
        self._model = (folder / FILE).read_bytes()
        # CRFsuite itself reads beyond the end of another file.
        if self._model[:4] != b"lCRF" or int.from_bytes(self._model[4:8], "little") != len(self._model):
            raise ValueError(f"{FILE} is no complete model of CRFsuite")
        self._tagger.open_inmemory(self._model)
        if unknown := sorted(set(self._tagger.labels()) - set(self.label_names)):
            raise ValueError(f"{FILE} has the label {unknown[0]!r}; accepted: {first_names(self.label_names)}")
