"""Benchmarks. `python -m benchmarks` compares speed; the other modules with a `main` are separate commands."""
