"""The suites by name; each takes an `Evaluation` and returns a `Result`.

| suite | judges |
| --- | --- |
| `t2i`, `steps` | a picture from a prompt; the same with fewer and more steps |
| `reference`, `compose` | characters of given pictures: one again, several together |
| `series` | one character in several pictures that differ in one thing |
| `story` | stories of four pictures: the same characters, words that agree |
| `edit`, `chat` | a change of a given picture; changes in a conversation |
| `size`, `palette`, `sticker` | shapes, colours and transparency that a prompt asks for |
| `diversity`, `enhance` | what is added to a prompt: how different, how complete |
| `plan` | number of pictures, ends, thinking |
| `understand` | captions and questions |
| `vae` | held-out renders, encoded and decoded |
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.evaluation import Evaluation, Result
from benchmarks.quality.suites.chat import chat
from benchmarks.quality.suites.compose import compose
from benchmarks.quality.suites.diversity import diversity
from benchmarks.quality.suites.edit import edit
from benchmarks.quality.suites.enhance import enhance
from benchmarks.quality.suites.palette import palette
from benchmarks.quality.suites.plan import plan
from benchmarks.quality.suites.reference import reference
from benchmarks.quality.suites.series import series
from benchmarks.quality.suites.size import size
from benchmarks.quality.suites.steps import steps
from benchmarks.quality.suites.sticker import sticker
from benchmarks.quality.suites.story import story
from benchmarks.quality.suites.text_to_image import text_to_image
from benchmarks.quality.suites.understand import understand
from benchmarks.quality.suites.vae import vae

SUITES: dict[str, Callable[[Evaluation], Result]] = {
    "t2i": text_to_image,
    "reference": reference,
    "story": story,
    "steps": steps,
    "edit": edit,
    "compose": compose,
    "series": series,
    "size": size,
    "palette": palette,
    "sticker": sticker,
    "diversity": diversity,
    "enhance": enhance,
    "chat": chat,
    "plan": plan,
    "understand": understand,
    "vae": vae,
}
USUAL = ("t2i", "reference", "story")
