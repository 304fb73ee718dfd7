"""The demo corpora: two small generated data sets that a bag of words cannot solve and a recurrence can."""
