"""How well the reader reads: the ceiling of every score that depends on it.

True renders of random scenes are read, as they are and degraded (blur, noise, JPEG), and compared
with the scenes they were drawn from. It knows nothing of models.

    python -m training.storyworld.ceiling --count 200 --edge 256 --degrade
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.storyworld.canvas import rgb
from training.storyworld.characters import marking_color
from training.storyworld.reader import Reading, read
from training.storyworld.render import render
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import Scene
from training.storyworld.scoring import (
    ANGLE_TOLERANCE,
    MARKING_DISTANCE,
    SCALE_TOLERANCE,
    angle_distance,
    color_distance,
    score,
)

Pixels = NDArray[np.uint8]
BLUR, NOISE, QUALITY = 1.0, 4.0, 75


@dataclass(frozen=True)
class Ceiling:
    """Per slot the share of right verdicts and their number; seconds of processor per picture."""

    right: dict[str, float]
    count: dict[str, int]
    seconds: float

    @property
    def overall(self) -> float:
        """The share over all verdicts."""
        total = sum(self.count.values())
        return sum(self.right[s] * n for s, n in self.count.items()) / max(total, 1)


def degraded(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture as a weak model might give it: blurred, noisy, and once through JPEG."""
    soft = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR)), np.float32)
    noise = rng.normal(0, NOISE, (*image.shape[:2], 3))
    color = np.clip(soft[..., :3] + noise, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(color).save(buffer, "JPEG", quality=QUALITY)
    out = soft.astype(np.uint8)
    out[..., :3] = np.asarray(Image.open(buffer))
    return out


def verdicts(scene: Scene, reading: Reading) -> list[tuple[str, bool]]:
    """Named slots, and for figures in their right number the markings, with verdicts."""
    found = []
    for name, right in score(scene, reading).slots.items():
        parts = name.split(".")
        found.append((parts[-1] if parts[0] == "character" else parts[0], right))
    extra = {(p.kind, p.gap) for p in reading.props} - {(p.kind, p.gap) for p in scene.props}
    found.append(("no extra prop", not extra))
    if reading.count != len(scene.characters):
        return found
    for true, seen in zip(scene.characters, reading.characters, strict=True):
        want, got = true.markings, seen.markings
        form = got is not None and got.markings.form == want.form
        found.append(("marking form", form))
        if got is None or not form:
            continue
        color = rgb(marking_color(true.color, want.hue))
        angle = angle_distance(want.form, want.angle, got.markings.angle)
        found += [
            ("marking color", color_distance(got.color, color) <= MARKING_DISTANCE),
            ("marking scale", abs(got.markings.scale - want.scale) <= SCALE_TOLERANCE),
            ("marking angle", angle <= ANGLE_TOLERANCE),
        ]
    return found


def measure(
    count: int,
    *,
    seed: int = 0,
    edge: int = 256,
    degrade: bool = False,
    make: Callable[[np.random.Generator], Scene] | None = None,
) -> Ceiling:
    """The reader's accuracy on `count` true renders; `make` draws other scenes than random ones."""
    rng = np.random.default_rng(seed)
    right: dict[str, list[bool]] = defaultdict(list)
    seconds = 0.0
    for _ in range(count):
        scene = make(rng) if make else sample_scene(rng, size=(edge, edge))
        image = render(scene)
        if degrade:
            image = degraded(image, rng)
        before = time.process_time()
        reading = read(image)
        seconds += time.process_time() - before
        for slot, verdict in verdicts(scene, reading):
            right[slot].append(verdict)
    shares = {slot: float(np.mean(v)) for slot, v in right.items()}
    numbers = {slot: len(v) for slot, v in right.items()}
    return Ceiling(shares, numbers, seconds / max(count, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--edge", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--degrade", action="store_true")
    options = parser.parse_args()
    found = measure(options.count, seed=options.seed, edge=options.edge, degrade=options.degrade)
    rows = {s: {"right": found.right[s], "count": found.count[s]} for s in found.right}
    print(json.dumps({"overall": found.overall, "seconds": found.seconds, "slots": rows}, indent=1))


if __name__ == "__main__":
    main()
