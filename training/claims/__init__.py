"""The papers' claims at this scale: each with its arms, trained alike, and a table.

`python -m training.claims` trains every arm that is not there yet, measures it on held-out
documents and prints the table. Modules, in the order in which data flows:

| module | what |
| --- | --- |
| `arms` | the arms: which recipe, from what, with which values; and the claims that compare them |
| `measures` | what a checkpoint is worth: its words, its pictures |
| `table` | the measures of all arms as a table in Markdown |
"""
