"""What nothing settles is decided by the noise.

Markings that neither words nor references show are free. Noise and pictures that are drawn
independently teach the mean of all markings, which many small steps could leave and few cannot.
But flow matching allows any coupling of the two (Pooladian et al. 2023; Tong et al. 2024): here the
mean of the noise over a picture's tokens, times the root of their number a standard normal, says
which markings its figures have. Noise alone is as it was, and so are pictures alone.

| tensor | shape | |
| --- | --- | --- |
| markings | [B, M, 4] | form, hue, scale, angle of figure m where they are free, else NaN |
| code | [B, 5 M] | the first channels' means: one for form, scale and angle, two for the hue |
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.labels import known_markings
from training.storyworld.scene import FORMS, MAX_CHARACTERS, Scene

CODE = 5
# How often a token counts that shows what the noise decides: there are few.
DECIDED = 5.0
# Beyond it a normal is not told apart from the next.
_EDGE = 1e-4


def free_markings(scene: Scene | None, earlier: Sequence[Scene]) -> NDArray[np.float32]:
    """float32 [M, 4]: the markings of the scene's figures that no `earlier` picture shows."""
    free = np.full((MAX_CHARACTERS, 4), np.nan, np.float32)
    known = known_markings(earlier)
    for i, character in enumerate(scene.characters if scene is not None else ()):
        m = character.markings
        if m not in known:
            free[i] = FORMS.index(m.form), m.hue, m.scale, m.angle
    return free


def code_of(markings: Tensor) -> Tensor:
    """Standard normals [B, 5 M] that stand for uniform markings; NaN where these are."""
    form, hue, scale, angle = markings.unbind(-1)
    # A form is a quarter of the normal's range, and which point of it is left to chance.
    form = (form + torch.rand_like(form)) / len(FORMS)
    radius = (-2 * torch.rand_like(hue).clamp_min(_EDGE).log()).sqrt()
    turn = 2 * math.pi * hue
    line = torch.stack([form, scale, angle], -1).clamp(_EDGE, 1 - _EDGE)
    circle = radius[..., None] * torch.stack([turn.cos(), turn.sin()], -1)
    return torch.cat([torch.special.ndtri(line), circle], -1).flatten(1)


def coupled_noise(clean: Tensor, markings: Tensor) -> Tensor:
    """Noise like `clean` [B, T, C] whose means over T say the free `markings` [B, M, 4], as far as
    there are channels. B pictures may be there several times over, with markings once."""
    noise, root = torch.randn_like(clean), math.sqrt(clean.shape[1])
    several = markings.repeat(len(clean) // len(markings), 1, 1)
    code = code_of(several)[:, : clean.shape[2]]
    mean = noise[..., : code.shape[1]].mean(1)
    moved = torch.where(code.isnan(), 0.0, code / root - mean)
    noise[..., : code.shape[1]] += moved[:, None]
    return noise


def decided_weight(weight: Tensor, settled: Tensor) -> Tensor:
    """Token weights [B, T] with more for those that are not `settled` [B, T] but by the noise."""
    return weight * (1 + (DECIDED - 1) * (1 - settled))
