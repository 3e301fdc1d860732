"""Noise that decides what words and references leave open."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("skia")

import torch

from training.coupling import (
    CODE,
    code_of,
    coupled_noise,
    decided_weight,
    free_markings,
)
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import FORMS, MAX_CHARACTERS


def uniform_markings(count: int) -> torch.Tensor:
    markings = torch.rand(count, MAX_CHARACTERS, 4)
    markings[..., 0] = torch.randint(len(FORMS), markings.shape[:-1]).float()
    return markings


def test_codes_of_uniform_markings_are_standard_normals() -> None:
    torch.manual_seed(0)
    code = code_of(uniform_markings(20_000))
    assert code.shape == (20_000, CODE * MAX_CHARACTERS)
    assert torch.allclose(code.mean(0), torch.zeros(code.shape[1]), atol=0.04)
    assert torch.allclose(code.T.cov(), torch.eye(code.shape[1]), atol=0.04)


def test_coupled_noise_is_noise_and_its_mean_says_the_markings() -> None:
    torch.manual_seed(0)
    markings = uniform_markings(600)
    noise = coupled_noise(torch.zeros(600, 64, 24), markings)
    flat = noise.flatten(1)
    assert flat.mean().abs() < 0.01 and (flat.std() - 1).abs() < 0.01
    # Two tokens of one channel are as independent as before.
    assert (noise[:, 0] * noise[:, 1]).mean().abs() < 0.02
    mean = noise.mean(1) * 8
    turn = torch.atan2(mean[:, 4], mean[:, 3]) / (2 * math.pi) % 1
    assert torch.allclose(turn, markings[:, 0, 1], atol=1e-3)
    form = torch.special.ndtr(mean[:, 0]) * len(FORMS)
    assert torch.equal(form.floor(), markings[:, 0, 0])


def test_few_channels_say_what_they_can() -> None:
    noise = coupled_noise(torch.zeros(3, 9, 4), uniform_markings(3))
    assert noise.shape == (3, 9, 4) and not noise.isnan().any()


def test_markings_that_are_known_leave_the_noise_alone() -> None:
    markings = torch.full((2, MAX_CHARACTERS, 4), torch.nan)
    torch.manual_seed(1)
    free = torch.randn(2, 9, 24)
    torch.manual_seed(1)
    assert torch.equal(coupled_noise(torch.zeros(2, 9, 24), markings), free)


def test_markings_are_free_until_a_picture_shows_them() -> None:
    scene = sample_scene(np.random.default_rng(3), characters=2)
    first = scene.characters[0]
    free = free_markings(scene, [])
    assert not np.isnan(free[:2]).any() and np.isnan(free[2:]).all()
    assert FORMS[int(free[0, 0])] == first.markings.form
    alone = scene.with_(characters=(first,), props=())
    assert np.isnan(free_markings(scene, [alone])[0]).all()
    assert not np.isnan(free_markings(scene, [alone])[1]).any()
    assert np.isnan(free_markings(None, [])).all()


def test_what_the_noise_decides_counts_more() -> None:
    weight = decided_weight(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    assert weight[0, 0] == 1 and weight[0, 1] > 2
