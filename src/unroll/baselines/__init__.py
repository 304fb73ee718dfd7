"""Models that are no networks, in the same table: what a network has to beat."""

from unroll.baselines.base import Baseline
from unroll.baselines.crfsuite import CRFSuite
from unroll.baselines.majority import Majority
from unroll.baselines.tfidf import TfIdf

__all__ = ["Baseline", "CRFSuite", "Majority", "TfIdf"]
