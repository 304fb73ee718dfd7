"""What the package computes on a GPU, and how fast. It needs no more than PyTorch, NumPy and PyYAML, and no dataset."""
