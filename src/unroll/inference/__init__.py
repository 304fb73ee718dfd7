"""Trained models: save, load, and predict labels from text."""

import os

# Read when onnxruntime is imported, which only modules of this package do. Otherwise it writes a database with facts
# about the machine and the model into the home folder and sends it to its vendor. What the user has set is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
