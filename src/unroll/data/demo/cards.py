"""What the dataset cards of the demo corpora say in words; build.py adds the names, the columns and the counts."""

REVIEWS = """\
Made-up English reviews of films, restaurants, hotels, books and gadgets, each with one label. The label hangs on
the order of the words and on the distance between them, and a bag of words does not solve it: every word that
praises stands in negative texts as well. To get the label right, a model must

- follow the scope of a negator: "not bad at all" praises, and so does "not the usual film, and wonderful";
- let two negators cancel: "it is not true that it was not good";
- find the clause that decides: the one after *but*, the one that *although* does not open. Many texts come as
  twins, the same words in two orders with opposite labels;
- keep a verdict over dozens of words, while others ("my brother calls everything terrible") may say what they
  like. Only the writer's own opinion of the thing itself counts.

About one text in four has 30 tokens or more. The test split has words that stand in no other split; no label
hangs on them."""

ENTITIES = """\
Made-up English news sentences whose persons (PER), organisations (ORG), places (LOC) and miscellaneous names
(MISC: works, events, products, peoples) are tagged token by token in IOB2. The form of a name says little: most
names stand for several types, and what settles the type stands to the right of the name as often as to the left.
Part of the names is kept for the validation split and part for the test split, so that a memorised list of names
does not help."""
