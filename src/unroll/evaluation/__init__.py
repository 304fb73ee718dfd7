"""Scores, figures and the report that compares trained runs."""
