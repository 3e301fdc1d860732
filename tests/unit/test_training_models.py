"""Behaviour of the PyTorch models: positions, purity of references, masks, alpha."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="models need the training extra")

from training.errors import TrainingError  # noqa: E402
from training.models import VAE, Planner, Visualizer, config_from_dict, named_config  # noqa: E402
from training.models.config import TwinConfig, VisionConfig  # noqa: E402
from training.models.dpcw import attend, dpcw_attention  # noqa: E402
from training.models.rope import frequencies, rope_tables, rotate  # noqa: E402
from training.models.vae import grid_of, pixel_metric, straight, tokens_of  # noqa: E402
from training.models.vision import Vision, premultiply  # noqa: E402
from training.sequence import grid_positions  # noqa: E402

CONFIG = named_config("tiny")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """Every weight random: parameters that start at zero would hide a missing connection."""
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def test_rotations_compose_so_a_cached_key_can_be_shifted() -> None:
    table = frequencies((4, 6, 6), 10000.0)
    x = torch.randn(1, 2, 5, 32)
    place, shift = torch.rand(5, 3) * 100, torch.tensor([[-40.0, 3.5, -7.25]]).expand(5, 3)
    once = rotate(x, rope_tables(place + shift, table))
    twice = rotate(rotate(x, rope_tables(place, table)), rope_tables(shift, table))
    assert torch.allclose(once, twice, atol=2e-5)


def test_positions_are_exact_in_mixed_precision() -> None:
    table = frequencies((4, 6, 6), 10000.0)
    positions = torch.arange(2000.0)[:, None].expand(2000, 3)
    exact = rope_tables(positions, table)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = rope_tables(positions, table)
    assert all(torch.equal(a, b) for a, b in zip(exact, mixed, strict=True))


def test_each_axis_turns_only_its_own_pairs() -> None:
    table = frequencies((4, 6, 6), 10000.0)
    x = torch.randn(1, 1, 1, 32)
    moved = rotate(x, rope_tables(torch.tensor([[0.0, 2.0, 0.0]]), table))
    changed = (moved != x).flatten().nonzero().flatten() % 16
    assert set(changed.tolist()) <= set(range(4, 10))


def test_grouped_queries_read_their_own_group() -> None:
    q, k, v = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    y = dpcw_attention(q, k[:, :, :2], v[:, :, :2], k[:, :, 2:], v[:, :, 2:])
    for head in range(4):
        scores = (q[:, head] @ k[:, head // 2].transpose(1, 2) / 8**0.5).softmax(-1)
        assert torch.allclose(y[:, head], scores @ v[:, head // 2], atol=1e-6)


def operator_call(batch: int = 2) -> dict[str, Any]:
    """Every optional input but the scales, NaN behind every valid length; the second item of each
    pair is empty."""
    window, own = torch.tensor([3, 0] * (batch // 2)), torch.tensor([2, 0] * (batch // 2))
    shapes = {"q": (4, 4), "k_window": (2, 5), "v_window": (2, 5), "k_self": (2, 4),
              "v_self": (2, 4)}  # fmt: skip
    call: dict[str, Any] = {n: torch.randn(batch, *s, 8) for n, s in shapes.items()}
    call |= {"cos": torch.randn(batch, 4, 4), "sin": torch.randn(batch, 4, 4)}
    for name, x in call.items():
        lengths = window if name.endswith("window") else own
        for item, length in enumerate(lengths):
            x[item, ..., length:, :] = float("nan")
    call |= {"q_norm": torch.rand(8) + 0.5, "k_norm": torch.rand(8) + 0.5}
    return call | {"window_length": window, "self_length": own}


@pytest.mark.parametrize("epsilon", [1e-6, 0.0])
def test_what_lies_behind_a_valid_length_reaches_no_gradient(epsilon: float) -> None:
    call = operator_call()
    lengths = ("window_length", "self_length")
    for name, x in call.items():
        x.requires_grad_(name not in lengths)
    torch.ops.weft.dpcw_attention(**call, epsilon=epsilon).square().sum().backward()
    for name in call.keys() - set(lengths):
        assert call[name].grad.isfinite().all(), name
    assert call["k_self"].grad[0, :, :2].any() and not call["k_self"].grad[0, :, 2:].any()


def test_the_operator_in_float16_is_near_float32() -> None:
    call = operator_call()
    y = attend(**call)
    tensors = ("q", "k_window", "v_window", "k_self", "v_self")
    half = attend(**call | {n: call[n].half() for n in tensors})
    assert half.dtype == torch.float16 and half[0].any()
    assert torch.allclose(half.float(), y, atol=5e-3)


def test_a_float8_window_is_masked_before_it_is_scaled() -> None:
    call = operator_call()
    scales = {"k_scale": torch.tensor([0.5, 2.0]), "v_scale": torch.tensor([1.5, 0.25])}
    stored = {n: call[n].to(torch.float8_e4m3fn) for n in ("k_window", "v_window")}
    for scale in scales.values():
        scale.requires_grad_()
    y = attend(**call | stored | scales)
    y.sum().backward()
    assert all(scale.grad is not None and scale.grad.isfinite().all() for scale in scales.values())
    plain = {n: x.float() * scales[n[0] + "_scale"][:, None, None] for n, x in stored.items()}
    assert torch.allclose(y, attend(**call | plain), atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sin": None}, "cos alone"),
        ({"cos": None}, "sin alone"),
        ({"k_scale": torch.ones(2)}, "k_scale True, v_scale False"),
        ({"k_scale": torch.ones(2), "v_scale": torch.ones(2)}, "windows of torch.float32"),
        ({"k_window": torch.zeros(2, 2, 5, 8).to(torch.float8_e4m3fn)}, "k_scale False"),
        ({"series": 0}, "divides the batch of 2, found 0"),
        ({"series": 3}, "divides the batch of 2, found 3"),
    ],
)
def test_options_that_do_not_stand_together_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        torch.ops.weft.dpcw_attention(**operator_call() | changed)


def test_masked_window_rows_change_nothing() -> None:
    model = stirred(Visualizer(CONFIG))
    shape = (1, CONFIG.twin.kv_heads, 6, CONFIG.twin.head_dim)
    window = [(torch.randn(shape), torch.randn(shape)) for _ in range(CONFIG.twin.layers)]
    latent, place, t = torch.randn(1, 4, 48), torch.rand(4, 3), torch.tensor([0.7])
    mask = torch.ones(1, 1, 1, 10, dtype=torch.bool)
    mask[..., 3:6] = False
    short = [(k[:, :, :3], v[:, :, :3]) for k, v in window]
    assert torch.allclose(
        model(latent, place, t, window, mask), model(latent, place, t, short), atol=1e-5
    )


def test_a_committed_reference_depends_on_itself_alone() -> None:
    model = stirred(Visualizer(CONFIG))
    latents, place = torch.randn(3, 4, 48), torch.rand(4, 3)
    together = model.commit(latents, place)
    alone = model.commit(latents[1:2], place)
    for (k, v), (k_alone, v_alone) in zip(together, alone, strict=True):
        assert torch.allclose(k[1:2], k_alone, atol=1e-5)
        assert torch.allclose(v[1:2], v_alone, atol=1e-5)


def test_the_planner_is_causal_and_sees_pictures() -> None:
    planner = stirred(Planner(CONFIG))
    tokens = torch.randint(11, 2048, (1, 12))
    tokens[0, 5] = 10
    place = torch.arange(12.0)[None, :, None].expand(1, 12, 3)
    features = torch.zeros(1, 12, CONFIG.twin.width)
    before, _ = planner(tokens, place, features)
    features[0, 5] = planner.vision(torch.rand(1, 4, 64, 64))[0, 0]
    after, _ = planner(tokens, place, features)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (16, 16), (80, 48), (256, 32)])
def test_vision_gives_one_feature_for_each_64_pixels_begun(height: int, width: int) -> None:
    features = Planner(CONFIG).vision(torch.rand(2, 4, height, width))
    assert features.shape == (2, -(-height // 64) * -(-width // 64), CONFIG.twin.width)


def test_the_eyes_start_with_their_patches_alone() -> None:
    """So that convolutions can be given to a planner that sees already."""
    vision, pixels = Vision(CONFIG.planner.vision, CONFIG.twin.width), torch.rand(1, 4, 64, 128)
    plain = Vision(replace(CONFIG.planner.vision, stem=()), CONFIG.twin.width)
    plain.load_state_dict({n: p for n, p in vision.state_dict().items() if "stem" not in n})
    assert torch.equal(vision(pixels), plain(pixels))
    last = vision.stem[-1]
    torch.nn.init.normal_(last.weight)
    assert not torch.allclose(vision(pixels), plain(pixels))


def test_part_of_a_picture_stands_where_it_stood() -> None:
    model = stirred(Visualizer(CONFIG))
    positions = torch.from_numpy(grid_positions(3, 5))
    whole = model._places(positions, None)
    assert torch.equal(whole, model._places(positions, (3, 5)))
    part = torch.tensor([0, 4, 7])
    assert torch.equal(whole[part], model._places(positions[part], (3, 5)))
    assert not torch.equal(whole[part], model._places(positions[part], None))


def test_scenes_are_composed_from_the_middle_of_the_lower_edge() -> None:
    """Tokens that stand alike under pictures of two sizes differ in nothing but the shares."""
    model = stirred(Visualizer(CONFIG))
    small = model._places(torch.from_numpy(grid_positions(4, 4)), None).view(4, 4, 4, -1)
    large = model._places(torch.from_numpy(grid_positions(6, 8)), None).view(6, 8, 4, -1)
    assert torch.allclose(small[..., :2, :], large[2:, 2:6, :2, :], atol=1e-5)


def test_visualizer_starts_from_the_planners_attention() -> None:
    planner, model = stirred(Planner(CONFIG)), Visualizer(CONFIG)
    model.start_from(planner)
    for mine, theirs in zip(model.blocks, planner.blocks, strict=True):
        assert torch.equal(mine.attention.q.weight, theirs.attention.q.weight)


@pytest.mark.parametrize("size", [(32, 64), (16, 128)])
def test_vae_shapes_and_straight_alpha(size: tuple[int, int]) -> None:
    vae = VAE(CONFIG.vae)
    pixels = torch.rand(2, 4, *size)
    latent = vae.encode(pixels)
    assert latent.shape == (2, 48, size[0] // 16, size[1] // 16)
    assert torch.equal(grid_of(tokens_of(latent), *latent.shape[2:]), latent)
    assert vae.decode(latent).shape == pixels.shape


def test_straight_undoes_premultiplication() -> None:
    image = torch.randint(0, 256, (1, 8, 8, 4), dtype=torch.uint8)
    image[..., 3] = torch.randint(128, 256, (1, 8, 8))
    back = straight(premultiply(image))
    assert (back.int() - image.int()).abs().max() <= 4


def test_configuration_round_trip_and_its_errors() -> None:
    data = CONFIG.to_dict()
    assert config_from_dict(data) == CONFIG
    with pytest.raises(TrainingError, match="unknown keys"):
        config_from_dict({**data, "colour": 1})
    with pytest.raises(TrainingError, match="divide"):
        TwinConfig(1, 64, 3, 2, 32, (4, 6, 6))
    with pytest.raises(TrainingError, match="halves 3 times"):
        VisionConfig(1, 32, 1, 64, patch=16, stem=(4, 4))
    with pytest.raises(TrainingError, match="storybook"):
        named_config("huge")


def test_additive_timestep_is_a_configuration() -> None:
    config = replace(CONFIG, visualizer=replace(CONFIG.visualizer, timestep="additive"))
    model = stirred(Visualizer(config))
    empty = torch.zeros(1, CONFIG.twin.kv_heads, 0, CONFIG.twin.head_dim)
    window = [(empty, empty)] * CONFIG.twin.layers
    latent, place = torch.randn(1, 4, 48), torch.rand(4, 3)
    early = model(latent, place, torch.tensor([0.1]), window)
    late = model(latent, place, torch.tensor([0.9]), window)
    assert not torch.allclose(early, late)


def test_pixel_metric_foretells_what_an_error_costs() -> None:
    vae = VAE(CONFIG.vae).eval()
    torch.manual_seed(1)
    latent = vae.encode(torch.rand(2, 4, 64, 64))
    metric = pixel_metric(vae, latent, apart=2)
    assert torch.allclose(metric, metric.T, rtol=1e-4, atol=1e-6)
    assert metric.diagonal().mean().item() == pytest.approx(1.0)
    foretold, found = [], []
    with torch.no_grad():
        base = vae.decode(latent).clamp(0, 1)
        for _ in range(12):
            error = 0.1 * torch.randn(latent.shape[1])
            moved = latent.clone()
            moved[:, :, 1::2, 1::2] += error[None, :, None, None]
            foretold.append(float(error @ metric @ error))
            found.append(float((vae.decode(moved).clamp(0, 1) - base).square().sum()))
    assert torch.corrcoef(torch.tensor([foretold, found]))[0, 1] > 0.9
