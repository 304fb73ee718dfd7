"""Pretrained word vectors: files of GloVe, word2vec and fastText."""
