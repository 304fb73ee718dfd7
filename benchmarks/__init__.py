"""Benchmarks. `python -m benchmarks` compares speed; the other modules with a `main` are commands of their own."""
