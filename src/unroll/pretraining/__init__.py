"""Learns word vectors and language models from unlabelled text."""
