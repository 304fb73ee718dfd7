"""Trained models: save, load, and predict labels from text."""

import os

# ONNX Runtime sends facts about the machine and the model to its vendor unless this is set before it is imported, which
# only modules of this package do. A value that the user has set is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
