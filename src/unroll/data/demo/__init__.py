"""The demo corpora: two small generated datasets that need word order, so that a bag of words fails on them."""
