"""Scores, tests, intervals and variance components on NumPy arrays; nothing here reads a file."""
