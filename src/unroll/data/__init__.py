"""Data: download, check, tokenize, encode, batch."""
