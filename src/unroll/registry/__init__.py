"""The model registry: which model becomes a version, and which version is the champion."""
