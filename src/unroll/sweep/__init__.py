"""Hyperparameter search: Optuna studies as a Hydra sweeper, the summary of a sweep, and promotion of its best trial."""
