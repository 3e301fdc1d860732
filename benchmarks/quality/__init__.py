"""Quality by exact scores: documents are generated from held-out prompts and read back.

`examples` samples what is asked, `readings` reads pictures, `training.storyworld.facts`, `changes`
and `narration` compare, `suites` put these together, `report` and `sheet` show the result.
"""
