"""The prepare stage: checks and encodes raw rows."""
