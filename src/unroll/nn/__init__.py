"""Recurrent networks as `torch.nn.Module`s. Imports torch, and of this package `checks`, `files` and `data.tokens`.

encoder = RecurrentEncoder(input_size=100, hidden_size=128, cell=LSTM, bidirectional=True)
outputs, final = encoder(x, lengths)  # x: (B, T, 100), lengths: (B,)
"""

from unroll.nn.characters import CharacterCNN as CharacterCNN
from unroll.nn.characters import CharacterLSTM as CharacterLSTM
from unroll.nn.crf import LinearChainCRF as LinearChainCRF
from unroll.nn.elman import Elman as Elman
from unroll.nn.encoder import FeedForwardEncoder as FeedForwardEncoder
from unroll.nn.encoder import RecurrentEncoder as RecurrentEncoder
from unroll.nn.gru import GRU as GRU
from unroll.nn.indrnn import IndRNN as IndRNN
from unroll.nn.lru import LRU as LRU
from unroll.nn.lstm import LSTM as LSTM
from unroll.nn.min_rnn import MinGRU as MinGRU
from unroll.nn.min_rnn import MinLSTM as MinLSTM
from unroll.nn.model import SequenceModel as SequenceModel
from unroll.nn.peephole_lstm import PeepholeLSTM as PeepholeLSTM
from unroll.nn.qrnn import QRNN as QRNN
from unroll.nn.slstm import SLSTM as SLSTM
from unroll.nn.sru import SRU as SRU
