"""Beats that any plot may hold between its own, where a story is longer than its plot."""

from __future__ import annotations

from training.storyworld.documents.teller import Beat

# Nobody moves to another place and no time passes, so that the plot's next beat still fits.
# A beat is laid out as a sentence of the story.
# fmt: off
INTERLUDES = (
    Beat("{name} sat down to rest for a while. {air}", "sitting"),
    Beat("{name} stood quite still and listened. [All was well.|Was somebody there? No.|]",
         "standing"),
    Beat("{name} jumped into the air, just for the fun of it.", "jumping"),
    Beat("{name} waved to somebody far away, and somebody waved back.", "waving"),
    Beat("For a while {name} walked up and down, and thought.", "walking"),
    Beat("{name} ran a little, first this way and then that.", "running"),
    Beat('"Hooray!" cried {name}, for no reason at all.', "cheering"),
    Beat("{name} looked around with care. {must_line}", "standing"),
    Beat("{name} took a deep breath. {must_air}", "standing"),
    Beat("[Step by step|Slowly but surely], {name} walked on.", "walking"),
    Beat("{name} hopped on one leg, and then on the other.", "jumping"),
    Beat("{name} sat and counted to ten, and back again.", "sitting"),
)
# fmt: on
