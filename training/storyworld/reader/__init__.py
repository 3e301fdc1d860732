"""The reader: from pixels back to the scene graph, by drawing what could be there and comparing.

`read` is told nothing about what a picture should show. Stages, each one module:

| module | finds |
| --- | --- |
| `ground` | place, time, weather, style, by comparing all backdrops |
| `poster` | the palette of a backdrop that is none of these |
| `people` | the number of figures, and for each one what it is |
| `figures`, `templates` | one figure in a window, coarse to fine |
| `coats` | markings on a straightened torso |
| `things` | props in the gaps |
| `reading` | the result |

It is exact on the renderer's own pictures and tolerant of small errors of place and colour. It
knows only what the renderer can draw, at the layout's places and sizes.
"""

from __future__ import annotations

from training.storyworld.reader.read import read
from training.storyworld.reader.reading import ReadCharacter, Reading, ReadMarkings

__all__ = ["ReadCharacter", "ReadMarkings", "Reading", "read"]
