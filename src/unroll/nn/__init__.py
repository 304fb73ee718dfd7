"""Recurrent networks as plain `torch.nn.Module`s.

encoder = RecurrentEncoder(input_size=100, hidden_size=128, cell=LSTM, bidirectional=True)
outputs, final = encoder(x, lengths)  # x: (B, T, 100), lengths: (B,)
"""

from unroll.nn.elman import Elman
from unroll.nn.encoder import Encoder, FeedForwardEncoder, RecurrentEncoder
from unroll.nn.gru import GRU
from unroll.nn.lstm import LSTM
from unroll.nn.model import SequenceModel

__all__ = ["GRU", "LSTM", "Elman", "Encoder", "FeedForwardEncoder", "RecurrentEncoder", "SequenceModel"]
