"""The tokens that end a swatch know what it says, and a probe can learn to read it off them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from training.emphasis import spellings  # noqa: E402
from training.models.config import named_config  # noqa: E402
from training.reading import PlannerBatches, PlannerOptions  # noqa: E402
from training.stages.planner import PlannerStage  # noqa: E402
from training.storyworld.documents.dice import Dice  # noqa: E402
from training.storyworld.documents.pictures import sample_palette  # noqa: E402
from training.swatches import FIELDS, SwatchProbe, swatch_targets  # noqa: E402
from training.tokenizer import load_tokenizer, train_tokenizer  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("swatches") / "tokenizer.json"
    train_tokenizer(path, 30)
    return path


@pytest.mark.parametrize("seed", range(20))
def test_swatches_are_found_where_they_end(tokenizer_file, seed: int) -> None:
    palette = sample_palette(Dice(np.random.default_rng(seed)))
    said = ", ".join(f"{s.hex} {round(100 * s.share)}%" for s in palette)
    text = f"Use the palette {said} for a fox. 40% of it: palette {said}"
    tokens = load_tokenizer(tokenizer_file).encode(text, add_special_tokens=False).ids
    targets = swatch_targets(np.array(tokens), spellings(tokenizer_file))
    found = targets[~np.isnan(targets[:, 0])]
    assert len(found) == 2 * len(palette)
    for half in np.split(found, 2):
        before = 0.0
        for row, swatch in zip(half, palette, strict=True):
            channels = [int(swatch.hex[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            assert row == pytest.approx([*channels, before, swatch.share], abs=1e-6)
            before += swatch.share


def test_the_probe_reads_swatches_and_skips_the_rest() -> None:
    torch.manual_seed(0)
    probe = SwatchProbe(2, 8)
    targets = torch.rand(3, 10, FIELDS)
    values = torch.randn(3, 2, 10, 8)
    values[..., :FIELDS] = targets[:, None]
    targets[:, ::2] = float("nan")
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.05)
    first = float(probe(values, targets).detach())
    for _ in range(200):
        optimizer.zero_grad()
        probe(values, targets).backward()
        optimizer.step()
    assert float(probe(values, targets).detach()) < 0.05 * first


def test_a_palette_teaches_the_planner(tokenizer_file) -> None:
    options = PlannerOptions(documents=2, tasks={"palette": 1.0})
    stage = PlannerStage(named_config("tiny"), options, 0, tokenizer=tokenizer_file)
    batch = PlannerBatches(options, 0, tokenizer_file)(0)
    for loss, metrics in stage.losses(batch, 0):
        assert metrics["swatches"] > 0
        loss.backward()
    assert all(p.grad is not None for p in stage.swatches.parameters())


def test_the_eyes_may_learn_alone_first(tokenizer_file) -> None:
    options = PlannerOptions(documents=1, tasks={"t2i": 1.0}, looks=2, looking_steps=1)
    batches = PlannerBatches(options, 0, tokenizer_file)
    first, second = batches(0), batches(1)
    assert not first.documents and first.looks is not None and len(first.looks.pixels) == 8
    assert second.documents and second.looks is not None and len(second.looks.pixels) == 2
