"""Models without a network, the baselines that a network is compared with."""

from unroll.baselines.base import Baseline as Baseline
from unroll.baselines.crfsuite import CRFSuite as CRFSuite
from unroll.baselines.majority import Majority as Majority
from unroll.baselines.tfidf import TfIdf as TfIdf
