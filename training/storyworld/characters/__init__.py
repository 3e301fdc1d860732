"""The storyworld's characters: twelve animals as flat picture-book figures.

`draw` works in the current frame of the pen: the ground under the feet is (0, 0), y points down,
a standing figure without hat is 1 tall and looks to the right. Nothing is random.

Adding a kind: one `Kind` entry in `kinds.KINDS` (proportions, ears, face, tail; a new face or tail
is one function in `faces` or `parts`) and its name in `scene.KINDS`. Adding an action: one `Pose`
in `pose.POSES`. Adding an accessory: one branch in `accessories`.

| module | holds |
| --- | --- |
| `kinds` | the table of kinds |
| `pose` | the skeleton and the table of actions |
| `parts`, `faces` | ears and tails, faces |
| `markings` | coat patterns and `marking_color` |
| `accessories` | what a figure wears |
| `figure` | puts it together |
"""

from __future__ import annotations

from training.storyworld.canvas import Pen
from training.storyworld.characters.figure import draw_figure
from training.storyworld.characters.markings import marking_color
from training.storyworld.scene import Character

__all__ = ["draw", "marking_color"]


def draw(pen: Pen, character: Character) -> None:
    """Draw one character in the current frame; `character.x` and `facing` are the caller's."""
    draw_figure(pen, character)
