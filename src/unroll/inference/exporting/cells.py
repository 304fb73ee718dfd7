"""The exporters of all cells; a new cell is exported by a function and its line here."""

from torch import nn

from unroll.inference.exporting.parts import Exporter
from unroll.inference.exporting.recurrent import elman, gru, lstm, peephole_lstm
from unroll.inference.exporting.scans import each_way, indrnn, lru, min_gru, min_lstm, qrnn, slstm, sru
from unroll.nn import GRU, LRU, LSTM, QRNN, SLSTM, SRU, Elman, IndRNN, MinGRU, MinLSTM, PeepholeLSTM

# (sequences, cells of one or two directions, x: (T, B, I)) → states (T, B, D · H).
CELLS: dict[type[nn.Module], Exporter] = {
    LSTM: lstm,
    GRU: gru,
    Elman: elman,
    PeepholeLSTM: peephole_lstm,
    IndRNN: each_way(indrnn),
    LRU: each_way(lru),
    MinGRU: each_way(min_gru),
    MinLSTM: each_way(min_lstm),
    QRNN: each_way(qrnn),
    SLSTM: each_way(slstm),
    SRU: each_way(sru),
}
