"""Tests of unroll.pretraining."""
