"""The table of kinds. Adding one is one entry here (and its name in `scene.KINDS`)."""

from __future__ import annotations

from dataclasses import dataclass

from training.storyworld.characters import faces, parts
from training.storyworld.characters.faces import Face
from training.storyworld.characters.palette import BEAK
from training.storyworld.characters.parts import Ears, Tail


@dataclass(frozen=True)
class Kind:
    """Proportions (fractions of a standing figure's height) and the parts that make a silhouette.

    `head` is the head's radii; `jowl` moves its widest line down; `torso` is half the torso's
    width; `wings` turns arms into flippers; `feet` overrides the foot colour; `spines` adds a back;
    `halo` is what a mane adds below the head; `hat` is where headwear sits (height in head radii)
    and its scale.
    """

    ears: Ears
    face: Face
    tail: Tail
    head: tuple[float, float] = (0.275, 0.245)
    jowl: float = 0.05
    torso: float = 0.215
    arm: float = 0.052
    wings: bool = False
    feet: str = ""
    spines: bool = False
    halo: float = 0.0
    hat: tuple[float, float] = (0.86, 0.92)


KINDS = {
    "fox": Kind(
        parts.pointed_ears(0.12, 0.195, 0.055, dark_tip=True), faces.fox, parts.bushy_tail,
        head=(0.285, 0.225), jowl=0.09, torso=0.21,
    ),
    "bear": Kind(
        parts.round_ears(0.088, 0.72, 0.8), faces.bear, parts.stub_tail,
        head=(0.285, 0.262), torso=0.24, arm=0.06,
    ),
    "rabbit": Kind(
        parts.long_ears(0.15), faces.rabbit, parts.puff_tail,
        head=(0.245, 0.2), jowl=0.06, torso=0.21, hat=(0.84, 0.72),
    ),
    "cat": Kind(
        parts.pointed_ears(0.09, 0.185, 0.04), faces.cat, parts.cat_tail,
        head=(0.295, 0.232), jowl=0.05, torso=0.21, hat=(0.86, 0.86),
    ),
    "dog": Kind(
        parts.floppy_ears, faces.dog, parts.dog_tail, head=(0.255, 0.262), jowl=0.02,
    ),
    "mouse": Kind(
        parts.round_ears(0.15, 0.86, 0.78), faces.mouse, parts.mouse_tail,
        head=(0.25, 0.23), jowl=0.06, torso=0.205, arm=0.044,
    ),
    "owl": Kind(
        parts.tufts, faces.owl, parts.bird_tail,
        head=(0.275, 0.245), jowl=0.0, torso=0.235, wings=True, feet=BEAK,
    ),
    "penguin": Kind(
        parts.crest, faces.penguin, parts.bird_tail,
        head=(0.25, 0.25), jowl=0.04, torso=0.23, wings=True, feet=BEAK,
    ),
    "frog": Kind(
        parts.eye_bumps, faces.frog, parts.no_tail,
        head=(0.3, 0.205), jowl=0.08, arm=0.046, hat=(1.2, 0.8),
    ),
    "lion": Kind(
        parts.mane, faces.lion, parts.lion_tail,
        head=(0.222, 0.2), jowl=0.06, torso=0.21, halo=0.085, hat=(1.12, 0.9),
    ),
    "elephant": Kind(
        parts.elephant_ears, faces.elephant, parts.elephant_tail,
        head=(0.24, 0.255), jowl=-0.05, torso=0.24, arm=0.06,
    ),
    "hedgehog": Kind(
        parts.head_spines, faces.hedgehog, parts.no_tail,
        head=(0.245, 0.24), jowl=0.06, torso=0.21, arm=0.044, spines=True,
    ),
}  # fmt: skip
