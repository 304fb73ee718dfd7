"""Fits baselines and trains networks, for every task."""
