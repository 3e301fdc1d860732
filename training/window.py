"""The Dense Prompt Context Window in training: exactly the rows that the runtime builds.

| tensor | shape | dtype |
| --- | --- | --- |
| latent of a picture | [B, h * w, C] | float32 |
| window, per layer K and V | [B, KV, N + M, D]: planner rows, then clean rows | float |
| mask | [B, 1, 1, N + M + T], True where seen | bool |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from training.drawing import Drawing
from training.models import VAE, Planner, Visualizer
from training.models.rope import rope_tables, rotate
from training.models.vae import tokens_of
from training.models.vision import premultiply
from training.models.visualizer import Cache
from training.pictures import place_features
from training.sequence import grid_positions


@dataclass(frozen=True)
class Prepared:
    """What the frozen models make of a drawing: the clean latents of its target [B, T, C] and its
    references [R, T, C], and the planner's rows of the window."""

    drawing: Drawing
    clean: Tensor
    positions: Tensor
    window: Cache
    references: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class Context:
    """Everything one denoising pass needs but the noise."""

    clean: Tensor
    positions: Tensor
    window: Cache
    mask: Tensor
    grid: tuple[int, int]

    def repeat(self, times: int) -> Context:
        """Every sample `times` over, the batch repeated as a whole."""
        shared = self.positions.dim() == 2
        return Context(
            self.clean.repeat(times, 1, 1),
            self.positions if shared else self.positions.repeat(times, 1, 1),
            [(k.repeat(times, 1, 1, 1), v.repeat(times, 1, 1, 1)) for k, v in self.window],
            self.mask.repeat(times, 1, 1, 1),
            self.grid,
        )

    def focused(self, chosen: Tensor) -> Context:
        """With the tokens `chosen` [B, K] of each sample's picture alone."""
        missing = self.clean.shape[1] - chosen.shape[1]
        mask = self.mask[..., : self.mask.shape[-1] - missing]
        clean = take_tokens(self.clean, chosen)
        return Context(clean, self.positions[chosen], self.window, mask, self.grid)


def token_weight(drawing: Drawing, scale_down: int) -> Tensor:
    """The drawing's token weights [B, h * w], averaged to the grid that is trained."""
    return _scaled_down(drawing.weight, drawing, scale_down)


def reference_weight(drawing: Drawing, scale_down: int) -> Tensor:
    """Its references' token weights [R, h * w], likewise."""
    return _scaled_down(drawing.reference_weight, drawing, scale_down)


def _scaled_down(weight: Tensor, drawing: Drawing, scale_down: int) -> Tensor:
    if scale_down == 1:
        return weight
    rows, columns = drawing.target.shape[1] // 16, drawing.target.shape[2] // 16
    return F.avg_pool2d(weight.view(-1, 1, rows, columns), scale_down).flatten(1)


def settled_tokens(drawing: Drawing, scale_down: int) -> Tensor:
    """Whether words or references settle a token [B, h * w], on the grid that is trained: 0 to 1,
    float32."""
    return _scaled_down(drawing.settled.float(), drawing, scale_down)


def token_labels(drawing: Drawing, scale_down: int) -> Tensor:
    """The drawing's labels [B, h * w, G] on the grid that is trained."""
    if scale_down == 1:
        return drawing.labels
    rows, columns = drawing.target.shape[1] // 16, drawing.target.shape[2] // 16
    grid = drawing.labels.unflatten(1, (rows, columns))
    return grid[:, ::scale_down, ::scale_down].flatten(1, 2)


def shift_keys(k: Tensor, shift: Tensor, table: Tensor) -> Tensor:
    """Cached keys [B, KV, N, D] moved by `shift` [B, N, 3]: one more rotation."""
    return rotate(k, rope_tables(shift, table))


@torch.no_grad()
def encode(vae: VAE, pixels: Tensor, scale_down: int) -> tuple[Tensor, tuple[int, int]]:
    """Latent tokens of uint8 pictures, averaged down first, and their grid."""
    x = premultiply(pixels)
    if scale_down > 1:
        x = F.avg_pool2d(x, scale_down)
    x = x.contiguous(memory_format=torch.channels_last)
    latent = torch.cat([vae.encode(part) for part in x.split(16)])
    return tokens_of(latent).float(), (latent.shape[2], latent.shape[3])


def planner_window(planner: Planner, drawing: Drawing) -> Cache:
    """The planner's rows of the window, shifted: per layer [B, KV, N, D]."""
    width = planner.config.twin.width
    features = place_features(planner.vision, drawing.seen, *drawing.tokens.shape, width)
    _, cache = planner(drawing.tokens, drawing.positions, features)
    out: Cache = []
    for k, v in cache:
        index = drawing.index[:, None, :, None].expand(-1, k.shape[1], -1, k.shape[3])
        k_rows = shift_keys(k.gather(2, index), drawing.shift, planner.rope_table)
        out.append((k_rows, v.gather(2, index)))
    return out


def prepare(planner: Planner, vae: VAE, drawing: Drawing, scale_down: int = 1) -> Prepared:
    """The part of the context that does not change while the visualizer alone learns; gradients
    flow through the planner where it learns too."""
    clean, grid = encode(vae, drawing.target, scale_down)
    positions = torch.from_numpy(grid_positions(*grid)).to(clean.device)
    references = clean[:0]
    if len(drawing.references):
        references, _ = encode(vae, drawing.references, scale_down)
    window = planner_window(planner, drawing)
    return Prepared(drawing, clean, positions, window, references, grid)


def shares(everything: list[Prepared]) -> Iterator[tuple[Prepared, float]]:
    """The parts of a batch, and each one's share of its pictures."""
    total = sum(len(prepared.clean) for prepared in everything)
    for prepared in everything:
        yield prepared, len(prepared.clean) / total


def commit_references(
    visualizer: Visualizer, prepared: Prepared, chosen: Tensor | None = None
) -> Context:
    """The clean target and its whole window; gradients flow through the commit pass. `chosen`
    [R, K] are the references' tokens that are there, None for all of them."""
    drawing, window, mask = prepared.drawing, prepared.window, prepared.drawing.index_mask
    latent, positions = prepared.references, prepared.positions
    if len(latent):
        if chosen is not None:
            latent, positions = take_tokens(latent, chosen), positions[chosen]
        committed = visualizer.commit(latent, positions, prepared.grid)
        window, mask = _join(window, mask, committed, drawing, visualizer.rope_table)
    mask = F.pad(mask, (0, prepared.clean.shape[1]), value=True)[:, None, None]
    return Context(prepared.clean, prepared.positions, window, mask, prepared.grid)


def focus(weight: Tensor, share: float) -> Tensor:
    """Which tokens to keep [B, K], int64 ascending; `weight` [B, T] is above its mean of 1 under
    figures, and those come first more often than not (MaskDiT, Zheng et al. 2024)."""
    order = torch.rand_like(weight) + 0.7 * (weight > 1)
    count = max(1, round(share * weight.shape[1]))
    return order.topk(count, dim=1).indices.sort(dim=1).values


def focused_references(prepared: Prepared, share: float, scale_down: int) -> Tensor | None:
    """Which tokens of the references to keep [R, K]; None where there are no references."""
    if not len(prepared.references):
        return None
    return focus(reference_weight(prepared.drawing, scale_down), share)


def take_tokens(x: Tensor, chosen: Tensor) -> Tensor:
    """Rows `chosen` [B, K] of x [B, T, C]."""
    return x.gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))


def build_context(
    planner: Planner, visualizer: Visualizer, vae: VAE, drawing: Drawing, scale_down: int = 1
) -> Context:
    """The clean target and its window, as the runtime builds it."""
    return commit_references(visualizer, prepare(planner, vae, drawing, scale_down))


def _join(
    window: Cache, mask: Tensor, committed: Cache, drawing: Drawing, table: Tensor
) -> tuple[Cache, Tensor]:
    """Clean rows behind the planner's; samples with fewer references are masked."""
    batch, places = mask.shape[0], int(drawing.reference_slots.max()) + 1
    where = (drawing.reference_rows, drawing.reference_slots)
    tokens = committed[0][0].shape[2]
    shift = torch.zeros(len(drawing.references), tokens, 3, device=mask.device)
    shift[..., 0] = -drawing.reference_distances[:, None].float()

    def spread(rows: Tensor) -> Tensor:
        out = rows.new_zeros(batch, places, *rows.shape[1:]).index_put(where, rows)
        return out.permute(0, 2, 1, 3, 4).flatten(2, 3)

    out = []
    for (k, v), (k_clean, v_clean) in zip(window, committed, strict=True):
        k_rows = spread(shift_keys(k_clean, shift, table)).to(k.dtype)
        out.append((torch.cat([k, k_rows], 2), torch.cat([v, spread(v_clean).to(v.dtype)], 2)))
    there = torch.zeros(batch, places, dtype=torch.bool, device=mask.device)
    there[where] = True
    return out, torch.cat([mask, there.repeat_interleave(tokens, dim=1)], dim=1)


def shifted_times(steps: int, shift: float) -> list[float]:
    """`steps` + 1 times from 1 to 0, even where `shift` is 1, closer together near noise where it
    is more: t = s u / (1 + (s - 1) u) of even u (Esser et al. 2024)."""
    even = [1 - i / steps for i in range(steps + 1)]
    return [round(shift * u / (1 + (shift - 1) * u), 6) for u in even]


@torch.no_grad()
def integrate(
    visualizer: Visualizer, context: Context, noise: Tensor, times: list[float]
) -> Tensor:
    """Euler from times[0] to times[-1] along dx/dt = v: [B, T, C]."""
    x = noise
    for t, t_next in pairwise(times):
        x = x + (t_next - t) * velocity(visualizer, context, x, t)
    return x


def velocity(visualizer: Visualizer, context: Context, x: Tensor, t: float | Tensor) -> Tensor:
    """The velocity [B, T, C] in float32 at x [B, T, C] and t, one for all or [B]."""
    at = t if isinstance(t, Tensor) else torch.full((len(x),), t, device=x.device)
    v = visualizer(x, context.positions, at, context.window, context.mask, context.grid)
    return v.float()
