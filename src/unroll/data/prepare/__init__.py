"""The prepare stage: raw rows, checked and encoded."""
