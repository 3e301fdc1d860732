"""Sample sheets: held-out pictures, the truth above and what the model draws below."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.coupling import coupled_noise
from training.device import mixed_precision, moved
from training.drawing import Drawing
from training.models import VAE, Planner, Visualizer
from training.models.vae import grid_of, straight
from training.window import build_context, integrate


@torch.no_grad()
def write_sheet(
    path: Path,
    models: tuple[Planner, Visualizer, VAE],
    drawings: Iterable[Drawing],
    scale_down: int,
    times: list[float],
) -> None:
    """Two rows per drawing group, written as one PNG. Noise is the same every time, and asks for
    the truth's markings where nothing else does."""
    planner, visualizer, vae = models
    device = vae.shift.device
    rows = []
    for number, drawing in enumerate(drawings):
        drawing = moved(drawing, device)
        with mixed_precision(device), torch.random.fork_rng():
            torch.manual_seed(number)
            context = build_context(planner, visualizer, vae, drawing, scale_down)
            noise = coupled_noise(context.clean, drawing.markings)
            drawn = integrate(visualizer, context, noise, times)
        for latent in (context.clean, drawn):
            pictures = straight(vae.decode(grid_of(latent, *context.grid))).cpu().numpy()
            rows.append(np.concatenate(list(pictures), axis=1))
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(padded)).save(path)
