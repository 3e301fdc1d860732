"""The autoencoder's graphs, uint8 straight RGBA on the pixel side.

The module list of `training.models.vae.VAE` is walked layer by layer, so another depth or width
needs no change here.
"""

from __future__ import annotations

from torch import nn

from export.components.layers import array_of, convolution, silu
from export.components.pixels import centred, premultiply, straight
from export.errors import ExportError
from export.graph import GraphBuilder
from training.models import VAE
from training.models.vae import ResidualBlock


def build_vae_decode(graph: GraphBuilder, vae: VAE) -> None:
    """A latent to straight RGBA, uint8."""
    with graph.exact():
        x = graph.op("Mul", "latent", graph.tensor(array_of(vae.scale), "scale"))
        x = graph.op("Add", x, graph.tensor(array_of(vae.shift), "shift"))
    x = graph.leave(_sequence(graph, graph.enter(x), vae.decoder, "decoder"))
    with graph.exact():
        half = graph.number(0.5)
        straight(graph, graph.op("Add", graph.op("Mul", x, half), half), "image")


def build_vae_encode(graph: GraphBuilder, vae: VAE) -> None:
    """Straight RGBA, uint8, to a latent."""
    with graph.exact():
        x = graph.op("Transpose", premultiply(graph, "image"), perm=[2, 0, 1])
        x = graph.op("Unsqueeze", x, graph.ints([0]))
        x = centred(graph, x)
    x = graph.leave(_sequence(graph, graph.enter(x), vae.encoder, "encoder"))
    with graph.exact():
        x = graph.op("Sub", x, graph.tensor(array_of(vae.shift), "shift"))
        graph.op("Div", x, graph.tensor(array_of(vae.scale), "scale"), output="latent")


def _sequence(graph: GraphBuilder, x: str, layers: nn.Sequential, name: str) -> str:
    with graph.scope(name):
        for index, layer in enumerate(layers):
            with graph.scope(str(index)):
                x = _layer(graph, x, layer)
    return x


def _layer(graph: GraphBuilder, x: str, layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        return convolution(graph, x, layer, "conv")
    if isinstance(layer, ResidualBlock):
        y = convolution(graph, silu(graph, x), layer.first, "first")
        return graph.op("Add", x, convolution(graph, silu(graph, y), layer.second, "second"))
    if isinstance(layer, nn.SiLU):
        return silu(graph, x)
    if isinstance(layer, nn.PixelShuffle):
        return graph.op("DepthToSpace", x, blocksize=layer.upscale_factor, mode="CRD")
    if isinstance(layer, nn.PixelUnshuffle):
        return _unshuffle(graph, x, layer.downscale_factor)
    raise ExportError(
        f"expected convolutions, residual blocks, SiLU and pixel shuffles in the VAE, found "
        f"{type(layer).__name__}; give export.components.vae a form for it"
    )


def _unshuffle(graph: GraphBuilder, x: str, factor: int) -> str:
    """[1, C, H, W] → [1, C factor², H / factor, W / factor], channels slowest."""
    # SpaceToDepth puts the offset before the channel; PyTorch puts it behind.
    y = graph.op("SpaceToDepth", x, blocksize=factor)
    channels = graph.op("Shape", x, start=1, end=2)
    size = graph.op("Shape", y, start=2)
    shape = graph.op("Concat", graph.ints([1, factor**2]), channels, size, axis=0)
    y = graph.op("Transpose", graph.op("Reshape", y, shape), perm=[0, 2, 1, 3, 4])
    return graph.op("Reshape", y, graph.op("Concat", graph.ints([1, -1]), size, axis=0))
