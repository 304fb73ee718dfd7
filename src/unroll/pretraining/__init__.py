"""The pretrain stage: word vectors and language models from unlabelled text."""
