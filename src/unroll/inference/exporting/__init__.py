"""Exports a trained network to ONNX: one function for each cell, encoder, pooling and head of `unroll.nn`.

Only an export imports this package, which needs torch and onnx; an exported model needs neither.
"""
