"""Trained models: save, load, and predict labels from text."""
