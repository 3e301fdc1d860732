"""The visualizer: the planner's twin that draws, by rectified flow in latent space.

x_t = (1 - t) x0 + t noise, and the network predicts v = noise - x0 (Liu et al. 2022). It sees the
picture's own tokens and the window (rule 2), nothing else. `commit` turns a finished picture's
clean latent (t = 0) into the keys and values that later pictures see; those tokens attend only to
themselves (rule 3).

| tensor | shape | dtype |
| --- | --- | --- |
| latent | [B, T, C], token (i, j) at row i * w + j | float |
| positions | [T, 3] or [B, T, 3] | float32 |
| t | [B], 0 clean to 1 noise | float32 |
| window (per layer K and V) | [B, KV, N, D] | float |

`grid` is (rows, columns) of the picture in tokens.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.config import ModelConfig, TwinConfig
from training.models.dpcw import dpcw_attention
from training.models.layers import Attention, GatedFFN
from training.models.rope import frequencies, rope_tables

Cache = list[tuple[Tensor, Tensor]]
Grid = tuple[int, int]


class VisualizerBlock(nn.Module):
    """LayerNorm without affine, modulated by the timestep, and gated residuals (DiT)."""

    def __init__(self, twin: TwinConfig, ffn: int) -> None:
        super().__init__()
        self.width = twin.width
        self.attention = Attention(twin)
        self.ffn = GatedFFN(twin.width, ffn)
        self.table = nn.Parameter(torch.zeros(6, twin.width))

    def modulate(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,), eps=1e-6) * (1 + scale) + shift

    def qkv(
        self, x: Tensor, modulation: Tensor, rope: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`modulation` [B, 6, W] is the timestep's; the block adds its own table."""
        shift, scale = self._rows(modulation, 0)[:2]
        return self.attention.qkv(self.modulate(x, shift, scale), rope)

    def finish(self, x: Tensor, y: Tensor, modulation: Tensor) -> Tensor:
        gate = self._rows(modulation, 0)[2]
        x = x + gate * self.attention.merge(y)
        shift, scale, gate = self._rows(modulation, 3)
        return x + gate * self.ffn(self.modulate(x, shift, scale))

    def _rows(self, modulation: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = (modulation + self.table)[:, start : start + 3]
        return rows[:, 0:1], rows[:, 1:2], rows[:, 2:3]


class Visualizer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        twin, visualizer = config.twin, config.visualizer
        self.config = config
        self.adaptive = visualizer.timestep == "adaptive"
        self.time_features = visualizer.time_features
        self.enter = nn.Linear(visualizer.latent_channels, twin.width)
        self.place = nn.Linear(8 * visualizer.position_features, twin.width)
        if visualizer.overview:
            self.overview = nn.Linear(visualizer.latent_channels, twin.width, bias=False)
        self.time = nn.Sequential(
            nn.Linear(visualizer.time_features, twin.width),
            nn.SiLU(),
            nn.Linear(twin.width, (6 if self.adaptive else 1) * twin.width),
        )
        self.blocks = nn.ModuleList(
            VisualizerBlock(twin, visualizer.ffn) for _ in range(twin.layers)
        )
        self.leave_modulation = nn.Linear(twin.width, 2 * twin.width)
        self.leave = nn.Linear(twin.width, visualizer.latent_channels)
        self.register_buffer(
            "rope_table", frequencies(twin.rope_sections, twin.rope_theta), persistent=False
        )
        self._init(twin.layers)

    def _init(self, layers: int) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2 and not name.endswith("table"):
                std = 0.02 / (math.sqrt(2 * layers) if "out" in name or "down" in name else 1.0)
                nn.init.normal_(parameter, 0.0, std)
        nn.init.normal_(self.enter.weight, 0.0, self.enter.in_features**-0.5)
        if self.config.visualizer.overview:
            nn.init.zeros_(self.overview.weight)
        for block in self.blocks:
            # Open gates: a block that starts closed learns slowly at this depth.
            block.table.data[2].fill_(1.0)
            block.table.data[5].fill_(1.0)
        nn.init.zeros_(self.leave_modulation.weight)
        nn.init.zeros_(self.leave.weight)

    def start_from(self, planner: nn.Module) -> None:
        """Copies the trained planner's attention weights, layer by layer."""
        for block, source in zip(self.blocks, planner.blocks, strict=True):
            block.attention.load_state_dict(source.attention.state_dict())

    def _time(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The features of t [B] as a vector [B, W], and the modulation [B, 6, W]."""
        half = self.time_features // 2
        frequency = torch.exp(
            -math.log(10000.0) * torch.arange(half, device=t.device, dtype=torch.float32) / half
        )
        angle = 1000.0 * t[:, None] * frequency
        features = torch.cat([angle.cos(), angle.sin()], dim=-1)
        vector = self.time[0](features)
        out = self.time[2](self.time[1](vector))
        if self.adaptive:
            return vector, out.view(t.shape[0], 6, -1)
        return vector, torch.zeros(t.shape[0], 6, vector.shape[-1], device=t.device)

    def _enter(
        self, latent: Tensor, positions: Tensor, t: Tensor, grid: Grid | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        vector, modulation = self._time(t)
        x = self.enter(latent) + self.place(self._places(positions, grid))
        if not self.adaptive:
            x = x + self.time[2](self.time[1](vector))[:, None]
        return x, vector, modulation

    def _overview(self, latent: Tensor, t: Tensor) -> Tensor:
        """What every token sees of all [B, 1, W]: their mean, of unit deviation in pure noise."""
        root = t[:, None, None] * math.sqrt(latent.shape[1])
        return self.overview(latent.mean(1, keepdim=True) * root)

    def _places(self, positions: Tensor, grid: Grid | None) -> Tensor:
        """Cosines and sines of where a token stands, down and right from the middle of the lower
        edge, where scenes are composed from: in tokens, and in sixteenths of the shorter edge."""
        count = self.config.visualizer.position_features
        octave = torch.arange(count, device=positions.device, dtype=torch.float32)
        frequency = math.pi / 32 * 2.0 ** (octave * 6 / (count - 1))
        place = positions[..., 1:]
        extent = place.amax(-2, keepdim=True) + 0.5 if grid is None else place.new_tensor(grid)
        from_foot = place - extent * place.new_tensor([1.0, 0.5])
        scaled = from_foot * (16 / extent.amin(-1, keepdim=True))
        angle = torch.cat([from_foot, scaled], dim=-1)[..., None] * frequency
        return torch.cat([angle.cos(), angle.sin()], dim=-1).flatten(-2)

    def forward(
        self,
        latent: Tensor,
        positions: Tensor,
        t: Tensor,
        window: Cache,
        mask: Tensor | None = None,
        grid: Grid | None = None,
    ) -> Tensor:
        """The velocity [B, T, C]. `mask` is bool [B, 1, 1, N + T], for padded windows. `grid` is
        needed where only some of the picture's tokens are there, else positions tell it."""
        return self.observed(latent, positions, t, window, mask, grid)[0]

    def observed(
        self,
        latent: Tensor,
        positions: Tensor,
        t: Tensor,
        window: Cache,
        mask: Tensor | None = None,
        grid: Grid | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The velocity [B, T, C] and the hidden state [B, T, W] behind the middle block."""
        x, vector, modulation = self._enter(latent, positions, t, grid)
        if self.config.visualizer.overview:
            x = x + self._overview(latent, t)
        rope = rope_tables(positions, self.rope_table)
        hidden = x
        for i, (block, (k_window, v_window)) in enumerate(zip(self.blocks, window, strict=True)):
            q, k, v = block.qkv(x, modulation, rope)
            y = dpcw_attention(q, k_window.to(q.dtype), v_window.to(q.dtype), k, v, mask)
            x = block.finish(x, y, modulation)
            hidden = x if i == len(self.blocks) // 2 else hidden
        shift, scale = self.leave_modulation(F.silu(vector)).unsqueeze(1).chunk(2, dim=-1)
        x = F.layer_norm(x, (x.shape[-1],), eps=1e-6) * (1 + scale) + shift
        return self.leave(x), hidden

    def commit(self, latent: Tensor, positions: Tensor, grid: Grid | None = None) -> Cache:
        """Each layer's K and V of a clean picture: [B, KV, T, D]; `grid` as in `forward`."""
        t = torch.zeros(latent.shape[0], device=latent.device)
        x, _, modulation = self._enter(latent, positions, t, grid)
        rope = rope_tables(positions, self.rope_table)
        cache: Cache = []
        for block in self.blocks:
            q, k, v = block.qkv(x, modulation, rope)
            cache.append((k, v))
            if len(cache) < len(self.blocks):
                empty = k[:, :, :0]
                x = block.finish(x, dpcw_attention(q, empty, empty, k, v), modulation)
        return cache
