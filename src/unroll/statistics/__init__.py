"""Tests, intervals and variance components, on NumPy arrays."""
