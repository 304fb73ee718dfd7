"""What a network does with a text: its output after each token, what each changes, and how much each matters."""
