"""Trained models: save, load, and predict labels from text."""

import os

# Read when onnxruntime is imported, which would otherwise write a database into the home folder and send its contents
# to Microsoft. A value that the user has set is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
