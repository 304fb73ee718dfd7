"""Whether new text is still like the text that a model was trained on."""
