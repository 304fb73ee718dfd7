"""Compares new text with the training data of a model."""
