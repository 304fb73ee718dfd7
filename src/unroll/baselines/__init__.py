"""Models without a network, the baselines that a network is compared with."""

from unroll.baselines.base import Baseline
from unroll.baselines.crfsuite import CRFSuite
from unroll.baselines.majority import Majority
from unroll.baselines.tfidf import TfIdf

__all__ = ["Baseline", "CRFSuite", "Majority", "TfIdf"]
