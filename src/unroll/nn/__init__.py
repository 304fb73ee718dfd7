"""Recurrent networks as `torch.nn.Module`s. Imports torch and the names in `data/tokens.py` only.

encoder = RecurrentEncoder(input_size=100, hidden_size=128, cell=LSTM, bidirectional=True)
outputs, final = encoder(x, lengths)  # x: (B, T, 100), lengths: (B,)
"""

from unroll.nn.characters import CharacterCNN, CharacterLSTM
from unroll.nn.crf import LinearChainCRF
from unroll.nn.elman import Elman
from unroll.nn.encoder import Encoder, FeedForwardEncoder, RecurrentEncoder
from unroll.nn.gru import GRU
from unroll.nn.indrnn import IndRNN
from unroll.nn.lru import LRU
from unroll.nn.lstm import LSTM
from unroll.nn.min_rnn import MinGRU, MinLSTM
from unroll.nn.model import SequenceModel
from unroll.nn.peephole_lstm import PeepholeLSTM
from unroll.nn.qrnn import QRNN
from unroll.nn.slstm import SLSTM
from unroll.nn.sru import SRU

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "QRNN",
    "SLSTM",
    "SRU",
    "CharacterCNN",
    "CharacterLSTM",
    "Elman",
    "Encoder",
    "FeedForwardEncoder",
    "IndRNN",
    "LinearChainCRF",
    "MinGRU",
    "MinLSTM",
    "PeepholeLSTM",
    "RecurrentEncoder",
    "SequenceModel",
]
