"""Converts a composed Hydra configuration to checked arguments and objects of the package."""
