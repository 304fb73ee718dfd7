"""Predicts for files of any size, on one machine or a cluster, and goes on after an interruption."""
