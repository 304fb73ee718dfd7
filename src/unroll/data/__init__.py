"""Data: download, check, tokenise, encode, batch."""
