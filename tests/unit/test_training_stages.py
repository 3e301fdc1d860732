"""Each stage takes a few real steps on the tiny model; the window in training is the runtime's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from runtime.history import PlacedPicture  # noqa: E402
from runtime.window import choose_references, plan_window  # noqa: E402
from training.checkpoint import load_checkpoint  # noqa: E402
from training.commissions import (  # noqa: E402
    Commissions,
    DrawingOptions,
    hide_known,
    reference_window,
)
from training.drawing import DrawingBatches, planner_rows  # noqa: E402
from training.emphasis import (  # noqa: E402
    FIRST_WORDS,
    changed_tokens,
    heeding_tokens,
    name_words,
    referring_words,
    slot_words,
    spellings,
    turning_points,
)
from training.errors import TrainingError  # noqa: E402
from training.labels import differing_tokens  # noqa: E402
from training.loop import train  # noqa: E402
from training.models import named_config  # noqa: E402
from training.reading import PlannerBatches, PlannerOptions  # noqa: E402
from training.recipe import LoopConfig  # noqa: E402
from training.samples import resized  # noqa: E402
from training.sequence import (  # noqa: E402
    ASSISTANT,
    BOI,
    END_IMAGINE,
    EOS,
    IMAGE,
    IMAGINE,
    USER,
    build_sequence,
)
from training.stages.distill import DistillOptions, DistillStage  # noqa: E402
from training.stages.match import (  # noqa: E402
    MatchOptions,
    MatchStage,
    noised,
    point_velocity,
)
from training.stages.planner import PlannerStage, next_token_loss, read  # noqa: E402
from training.stages.vae import VAEOptions, VAEStage  # noqa: E402
from training.stages.visualizer import VisualizerOptions, VisualizerStage  # noqa: E402
from training.storyworld.documents import sample_document  # noqa: E402
from training.storyworld.text import describe, parse  # noqa: E402
from training.tokenizer import load_tokenizer  # noqa: E402
from training.window import integrate, planner_window, shifted_times  # noqa: E402

TINY = named_config("tiny")
SHIPPED = Path(__file__).parents[2] / "runtime/bundles/storybook"
ONCE = LoopConfig(steps=1, warmup=1, log_every=1, save_every=1, sample_every=1, workers=0)
DRAWING = {"pictures": 3, "tasks": ("t2i", "story", "edit"), "weights": (1.0, 1.0, 1.0)}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.tiny import build_tiny_checkpoint

    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint")


def test_vae_stage_leaves_a_normalised_latent(tmp_path: Path) -> None:
    train(VAEStage(TINY, VAEOptions(batch=4, crop=64), 0), ONCE, tmp_path, 0)
    vae = load_checkpoint(tmp_path / "checkpoint").vae
    assert vae is not None and float(vae.scale.min()) > 0
    assert list((tmp_path / "samples").glob("*.png"))


def test_vae_stage_goes_on_from_a_checkpoint(tmp_path: Path, checkpoint: Path) -> None:
    stage = VAEStage(TINY, VAEOptions(batch=4, crop=64), 0, start=checkpoint)
    start = load_checkpoint(checkpoint).vae
    assert start is not None
    pixels = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        latent = start.encode(pixels) * start.scale + start.shift
        assert torch.allclose(stage.model.encode(pixels), latent, atol=1e-5)
    train(stage, ONCE, tmp_path, 0)
    assert load_checkpoint(tmp_path / "checkpoint").vae is not None


def test_vae_stage_refines_the_decoder_alone(tmp_path: Path, checkpoint: Path) -> None:
    options = VAEOptions(batch=4, crop=64, decoder_only=True)
    train(VAEStage(TINY, options, 0, start=checkpoint), ONCE, tmp_path, 0)
    before, after = load_checkpoint(checkpoint).vae, load_checkpoint(tmp_path / "checkpoint").vae
    assert before is not None and after is not None
    pixels = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        latent = before.encode(pixels)
        assert torch.equal(after.encode(pixels), latent)
        assert not torch.equal(after.decode(latent), before.decode(latent))
    with pytest.raises(TrainingError, match="decoder_only needs a checkpoint"):
        VAEStage(TINY, options, 0)


def test_an_anchor_holds_the_latents(tmp_path: Path, checkpoint: Path) -> None:
    batch = torch.randint(0, 256, (2, 64, 64, 4), dtype=torch.uint8)
    losses = {}
    for anchor in (0.0, 10.0):
        stage = VAEStage(TINY, VAEOptions(batch=4, crop=64, anchor=anchor), 0, start=checkpoint)
        start = load_checkpoint(checkpoint).vae
        last = stage.model.encoder[-1]
        assert start is not None and isinstance(last, torch.nn.Conv2d)
        # A tenth of a deviation in every channel.
        last.bias.data += 0.1 * start.scale.flatten()
        torch.manual_seed(1)
        ((loss, metrics),) = stage.losses(batch, 0)
        losses[anchor] = loss.item()
        assert ("moved" in metrics) == (anchor > 0)
    assert metrics["moved"] == pytest.approx(0.1, rel=0.05)
    assert losses[10.0] - losses[0.0] == pytest.approx(10 * 0.1**2, rel=0.1)
    train(stage, ONCE, tmp_path, 0)
    after = load_checkpoint(tmp_path / "checkpoint").vae
    assert after is not None and torch.equal(after.scale, start.scale)
    with pytest.raises(TrainingError, match="anchor needs a checkpoint"):
        VAEStage(TINY, VAEOptions(anchor=1.0), 0)


def test_a_stage_refuses_a_start_of_another_configuration(checkpoint: Path) -> None:
    wider = replace(TINY, vae=replace(TINY.vae, blocks=(0, 1, 1, 1)))
    with pytest.raises(TrainingError, match=r"its vae is of another configuration: expected VAE"):
        VAEStage(wider, VAEOptions(), 0, start=checkpoint)


def test_planner_stage(tmp_path: Path, checkpoint: Path) -> None:
    options = PlannerOptions(documents=2, tokens=512)
    train(PlannerStage(TINY, options, 0, start=checkpoint), ONCE, tmp_path, 0)
    assert load_checkpoint(tmp_path / "checkpoint").planner is not None


def test_the_planners_eyes_learn_without_documents(tmp_path: Path, checkpoint: Path) -> None:
    stage = PlannerStage(TINY, PlannerOptions(documents=0, looks=2), 0, start=checkpoint)
    before = {n: p.clone() for n, p in stage.planner.named_parameters()}
    train(stage, ONCE, tmp_path, 0)
    changed = {n for n, p in stage.planner.named_parameters() if not torch.equal(p, before[n])}
    assert changed and all(name.startswith("vision.") for name in changed)


def test_binding_documents_name_the_actions_of_several(checkpoint: Path) -> None:
    options = PlannerOptions(documents=4, tasks={"t2i": 1.0}, binding=1.0)
    batches = PlannerBatches(options, 0, checkpoint / "tokenizer.json")
    rng = np.random.default_rng(0)
    for _ in range(6):
        asked = batches._sample(rng, "t2i").document.turns[0].asked["characters"]
        assert sum("action" in character for character in asked) >= 2


def test_counted_stories_say_in_how_many_pictures(checkpoint: Path) -> None:
    options = PlannerOptions(documents=4, tasks={"story": 1.0}, counted=1.0)
    batches = PlannerBatches(options, 0, checkpoint / "tokenizer.json")
    rng = np.random.default_rng(0)
    for _ in range(6):
        document = batches._sample(rng, "story").document
        assert document.turns[0].asked["pictures"] == len(list(document.pictures()))


def test_turning_points_are_where_text_and_pictures_change_places() -> None:
    words = list(range(52, 60))
    tokens = np.array([ASSISTANT, 50, IMAGINE, 51, END_IMAGINE, BOI, IMAGE, IMAGE, *words, EOS])
    points = np.flatnonzero(turning_points(tokens))
    assert points.tolist() == [2, *range(8, 8 + FIRST_WORDS), len(tokens) - 1]


def test_referring_words_are_pronouns_and_names_after_the_first() -> None:
    path = SHIPPED / "tokenizer.json"
    tokenizer = load_tokenizer(path)
    text = "Wren was a fox. Then Wren met Gus, and she waved.\nGus sat by her. Wren laughed."
    tokens = np.array(tokenizer.encode(text, add_special_tokens=False).ids)
    found = tokens[referring_words(tokens, *name_words(path))]
    words = [tokenizer.decode([int(t)]).strip() for t in found]
    assert words == ["Wren", "Gus", "she", "Gus", "her", "Wren"]


def test_heeding_tokens_are_what_was_asked_for_where_it_is_said_first() -> None:
    path = SHIPPED / "tokenizer.json"
    tokenizer = load_tokenizer(path)

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    answer = "A bear met a fox. ink picture: a red fox, standing; a fox and an owl"
    tokens = np.array([USER, *ids("A fox and a bear"), ASSISTANT, *ids(answer), USER, EOS])
    found = tokens[heeding_tokens(tokens, spellings(path), slot_words(path))]
    words = [tokenizer.decode([int(t)]).strip() for t in found]
    assert words == ["bear", "fox", "fox"]


def test_changed_tokens_are_the_words_that_differ_and_what_follows_a_word_left_out() -> None:
    path = SHIPPED / "tokenizer.json"
    tokenizer = load_tokenizer(path)

    def changed(before: str, now: str) -> list[str]:
        a, b = (tokenizer.encode(t, add_special_tokens=False).ids for t in (before, now))
        (found,) = np.nonzero(changed_tokens(a, [*b, END_IMAGINE], slot_words(path)))
        return [tokenizer.decode([i]).strip() for i in np.array([*b, END_IMAGINE])[found].tolist()]

    shown = "ink picture, lake at night, clear: a red fox wearing a blue hat, sitting, facing left"
    assert changed(shown, shown) == []
    assert changed(shown, shown.replace("picture", "illustration")) == []
    assert changed(shown, shown.replace("red fox", "green fox")) == ["green"]
    assert changed(shown, shown.replace("sitting, facing left", "running, facing right")) == [
        "running",
        "right",
    ]
    assert changed(shown, shown + "; a boat on the left") == ["boat", "left"]
    assert changed(shown, shown.replace(" wearing a blue hat", "")) == [","]


@pytest.mark.parametrize(
    ("option", "task"),
    [("turning", "story"), ("referring", "story"), ("numbering", "story"), ("seeing", "edit"),
     ("listing", "series"), ("changing", "edit"), ("changing", "chat"), ("heeding", "story")],
)  # fmt: skip
def test_weights_of_the_planners_loss(checkpoint: Path, option: str, task: str) -> None:
    planner = load_checkpoint(checkpoint).planner
    assert planner is not None
    losses = []
    for weight in (0.0, 1.0, 2.0):
        options = PlannerOptions(documents=2, tasks={task: 1.0}, **{option: weight})
        (batch,) = PlannerBatches(options, 0, checkpoint / "tokenizer.json")(0).documents
        with torch.no_grad():
            losses.append(next_token_loss(planner, read(planner, batch)[0], batch)[0])
    assert losses[0] < losses[1] < losses[2]
    assert torch.allclose(losses[1] - losses[0], losses[2] - losses[1], rtol=1e-3)


def test_planner_stage_trains_the_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    options = PlannerOptions(documents=2, tokenizer_documents=20)
    stage = PlannerStage(TINY, options, 0, tokenizer=tmp_path / "tokenizer.json")
    assert (tmp_path / "tokenizer.json").is_file()
    assert stage.batches(0)


@pytest.mark.parametrize(("scale_down", "pixel_share"), [(1, 0.0), (2, 0.0), (1, 0.9)])
def test_visualizer_stage(
    tmp_path: Path, checkpoint: Path, scale_down: int, pixel_share: float
) -> None:
    options = VisualizerOptions(
        DRAWING,
        scale_down=scale_down,
        pixel_share=pixel_share,
        coupled=pixel_share > 0,
        sample_steps=1,
        sample_shift=3.0,
    )
    stage = VisualizerStage(TINY, options, 0, planner=checkpoint, vae=checkpoint, start=checkpoint)
    before = {n: p.clone() for n, p in stage.model.named_parameters()}
    train(stage, ONCE, tmp_path, 0)
    changed = [n for n, p in stage.model.named_parameters() if not torch.equal(p, before[n])]
    assert any("attention" in name for name in changed)
    training = load_checkpoint(tmp_path / "checkpoint").training
    assert training["schedule"]["4"] == pytest.approx([1.0, 0.9, 0.75, 0.5, 0.0])
    assert training["default_steps"] == 4
    assert list((tmp_path / "samples").glob("*.png"))


def test_distill_stage_writes_its_schedule(tmp_path: Path, checkpoint: Path) -> None:
    options = DistillOptions(DRAWING, teacher_steps=1, times=(1.0, 0.5, 0.0))
    train(DistillStage(TINY, options, 0, teacher=checkpoint), ONCE, tmp_path, 0)
    training = load_checkpoint(tmp_path / "checkpoint").training
    assert training["schedule"] == {"1": [1.0, 0.0], "2": [1.0, 0.5, 0.0]}


@pytest.mark.parametrize("focus_share", [0.0, 1.0])
@pytest.mark.parametrize("draws", [1, 3])
def test_a_student_that_is_its_teacher_has_no_error_over_one_teacher_step(
    checkpoint: Path, focus_share: float, draws: int
) -> None:
    options = DistillOptions(
        DRAWING,
        teacher_steps=1,
        draws=draws,
        times=(1.0, 0.5, 0.0),
        on_policy=1.0,
        focus_share=focus_share,
    )
    stage = DistillStage(TINY, options, 0, teacher=checkpoint)
    torch.manual_seed(0)
    for loss, _ in stage.losses(stage.batches(0), 0):
        assert loss.item() < 1e-3


@pytest.mark.parametrize(
    ("settled", "coupled", "on_policy", "true"),
    [
        (True, False, 0.0, True),
        (False, False, 0.0, False),
        (False, True, 0.0, True),
        (False, True, 1.0, True),
        (True, True, 1.0, True),
        (True, False, 1.0, False),
    ],
)
def test_settled_tokens_learn_from_the_truth_and_others_from_the_teacher(
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    settled: bool,
    coupled: bool,
    on_policy: float,
    true: bool,
) -> None:
    options = DistillOptions(
        DRAWING,
        teacher_steps=1,
        times=(1.0, 0.5, 0.0),
        on_policy=on_policy,
        truth=(1.0, 1.0),
        coupled=coupled,
    )
    stage = DistillStage(TINY, options, 0, teacher=checkpoint)
    (lesson, _), *_ = stage.shares(stage.batches(0))
    drawing = replace(
        lesson.student.drawing, settled=torch.full_like(lesson.student.drawing.settled, settled)
    )
    lesson = replace(lesson, student=replace(lesson.student, drawing=drawing))

    monkeypatch.setattr(stage, "segment", lambda: (1, 0.5, 0.0))

    def error() -> float:
        torch.manual_seed(0)
        return stage._error(lesson).item()

    like_its_teacher = error()
    stage.teacher.leave.bias.data += 1.0
    if true:
        assert error() == pytest.approx(like_its_teacher) and like_its_teacher > 0.1
    else:
        assert like_its_teacher < 1e-3 and error() > 0.1


def test_large_errors_count_by_their_size_and_small_ones_by_their_square(checkpoint: Path) -> None:
    options = DistillOptions(DRAWING, times=(1.0, 0.5, 0.0), huber=0.5)
    stage = DistillStage(TINY, options, 0, teacher=checkpoint)
    found = stage._size(torch.tensor([0.0, 1e-4, 100.0, 400.0]))
    assert found[0] == 0 and found[1] == pytest.approx(1e-4, rel=1e-2)
    assert found[3] == pytest.approx(2 * found[2].item(), rel=0.1)
    stage.huber = 0.0
    assert torch.equal(stage._size(found), found)


def test_a_student_of_another_planner_learns_what_its_teacher_draws_with_its_own(
    checkpoint: Path,
) -> None:
    options = DistillOptions(DRAWING, teacher_steps=1, times=(1.0, 0.5, 0.0), on_policy=0.0)
    stage = DistillStage(TINY, options, 0, teacher=checkpoint, planner=checkpoint)
    for parameter in stage.studio.planner.parameters():
        parameter.data *= 1.5
    drawings = stage.studio.batches(0)
    lessons = stage._prepare(drawings)
    for lesson, drawing in zip(lessons, drawings, strict=True):
        true = planner_window(stage.teachers_planner, drawing)[0][0]
        own, other = lesson.teacher.window[0][0].float(), lesson.student.window[0][0].float()
        assert (own - true).norm() < 0.02 * true.norm() < (other - true).norm()
        assert lesson.teacher.clean is lesson.student.clean
        alike = replace(lesson, teacher=lesson.student)
        assert stage._error(alike).item() < 1e-9 < stage._error(lesson).item()


def test_a_student_like_its_teacher_and_its_fake_is_left_alone(checkpoint: Path) -> None:
    options = MatchOptions(DRAWING, times=(1.0, 0.5, 0.0), focus_share=0.5)
    stage = MatchStage(TINY, options, 0, teacher=checkpoint, start=checkpoint)
    losses = [metrics for _, metrics in stage.losses(stage.batches(0), 0)]
    assert {name for metrics in losses for name in metrics} == {"fake", "student"}
    assert max(metrics.get("student", 0.0) for metrics in losses) < 1e-10
    assert min(metrics.get("fake", 1.0) for metrics in losses) > 0


def test_the_student_moves_from_the_fake_towards_the_teacher(checkpoint: Path) -> None:
    options = MatchOptions(DRAWING, times=(1.0, 0.5, 0.0), every=3)
    stage = MatchStage(TINY, options, 0, teacher=checkpoint, start=checkpoint)
    # The teacher's pictures are darker than the fake's: its velocity, noise less picture, is more.
    stage.teacher.leave.bias.data += 1.0
    (lesson, _), *_ = stage.shares(stage.batches(0))
    _, student = stage._pair(lesson, learns=True)
    assert student is not None
    student.backward()
    bias = stage.student.leave.bias.grad
    assert bias is not None and bool((bias < 0).all()), (
        "the velocity should rise, as the teacher's is higher"
    )
    assert all(p.grad is None for p in stage.fake.parameters())
    fake, none = stage._pair(lesson, learns=False)
    assert none is None
    stage.model.zero_grad()
    fake.backward()
    assert all(p.grad is None for p in stage.student.parameters())
    assert stage.fake.leave.bias.grad is not None


@pytest.mark.parametrize("end", [0.0, 0.6])
def test_the_velocity_of_a_point_tells_the_point(end: float) -> None:
    torch.manual_seed(0)
    point = torch.randn(6, 5, 4)
    at = noised(point, 0.9, end)
    assert bool(((at.t > end) & (at.t < 0.9)).all())
    v, t = point_velocity(at, point), at.t[:, None, None]
    score = -(at.x + (1 - t) * v) / t
    # Tweedie's formula for x_t = a x_e + sigma noise.
    assert torch.allclose((at.x + at.sigma.square() * score) / at.a, point, atol=1e-3)
    if end == 0:
        assert torch.allclose(at.x - t * v, point, atol=1e-4)


def test_match_stage_saves_the_student(tmp_path: Path, checkpoint: Path) -> None:
    options = MatchOptions(DRAWING, times=(1.0, 0.5, 0.0))
    stage = MatchStage(TINY, options, 0, teacher=checkpoint, start=checkpoint)
    train(stage, replace(ONCE, steps=2, ema=0.0), tmp_path, 0)
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    saved = checkpoint.visualizer
    assert saved is not None and checkpoint.training["stage"] == "match"
    assert torch.equal(saved.enter.weight, stage.student.enter.weight)
    assert not torch.equal(saved.enter.weight, stage.teacher.enter.weight)


@pytest.mark.parametrize("task", ["story", "edit", "compose", "chat"])
def test_the_window_in_training_is_the_one_the_runtime_builds(checkpoint: Path, task: str) -> None:
    tokenizer = load_tokenizer(checkpoint / "tokenizer.json")
    sequence = build_sequence(sample_document(np.random.default_rng(4), task), tokenizer)
    k = max(i for i, p in enumerate(sequence.pictures) if p.dense is not None)
    earlier = [
        PlacedPicture(
            grid=_grid(span.grid),
            position=int(span.start_position),
            slots=range(*span.image_tokens),
            pixels=np.zeros((16, 16, 4), np.uint8) if span.given else None,
        )
        for span in sequence.pictures[:k]
    ]
    dense = sequence.pictures[k].dense
    assert dense is not None
    kept = choose_references(earlier, 3)
    plan = plan_window(range(*dense), int(sequence.positions[dense[1] - 1, 0]), kept)
    given = [span.given for span in sequence.pictures[:k]]
    index, shift = planner_rows(sequence, k, reference_window(given, 3))
    np.testing.assert_array_equal(plan.index, index)
    np.testing.assert_allclose(plan.shift, shift)


def _grid(grid: tuple[int, int]) -> object:
    from runtime.grid import Grid

    return Grid(*grid)


def test_batches_depend_on_seed_and_step_alone(checkpoint: Path) -> None:
    options = DrawingOptions(**DRAWING)
    path = checkpoint / "tokenizer.json"
    first, again = DrawingBatches(options, 1, path)(5), DrawingBatches(options, 1, path)(5)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.tokens, b.tokens) and torch.equal(a.target, b.target)
        assert float(a.weight.mean()) == pytest.approx(1.0, abs=1e-5)


def test_hidden_names_are_those_that_an_earlier_picture_shows() -> None:
    rng = np.random.default_rng(0)
    document = sample_document(rng, "edit")
    given, drawn = (p.scene for p in document.pictures())
    assert given is not None and drawn is not None
    dense = describe(drawn)
    hidden = hide_known(drawn, dense, [given], 1.0, rng)
    assert len(parse(hidden).characters) < len(parse(dense).characters)
    assert hide_known(drawn, dense, [], 1.0, rng) == dense
    assert hide_known(drawn, dense, [given], 0.0, rng) == dense


def _counts(options: DrawingOptions, checkpoint: Path) -> list[int]:
    """How many characters some text-to-image pictures have."""
    commissions = Commissions(options, 0, checkpoint / "tokenizer.json")
    rng = np.random.default_rng(0)
    documents = [commissions._told(rng, "t2i").document for _ in range(8)]
    return [len(p.scene.characters) for d in documents for p in d.pictures() if p.scene]


def test_crowds_are_text_to_image_pictures_of_three_or_more(checkpoint: Path) -> None:
    options = DrawingOptions(tasks=("t2i", "edit"), weights=(1.0, 1.0), crowds=1.0)
    assert min(_counts(options, checkpoint)) >= 3
    assert max(_counts(replace(options, crowds=0.0, most_characters=2), checkpoint)) <= 2


def test_the_visualizer_prepares_a_batch_once_for_all_its_visits(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = VisualizerOptions(DRAWING, block=1, visits=3, focus_share=1.0, sample_steps=1)
    stage = VisualizerStage(TINY, options, 0, planner=checkpoint, vae=checkpoint, start=checkpoint)
    made: list[int] = []
    prepare = stage._prepare
    monkeypatch.setattr(stage, "_prepare", lambda batch: made.append(1) or prepare(batch))
    train(stage, replace(ONCE, steps=4, save_every=4, sample_every=4), tmp_path, 0)
    assert len(made) == 2


def test_part_of_a_picture_is_placed_as_part_of_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = {**DRAWING, "base": (96, 64), "other_sizes": 0.0}
    options = VisualizerOptions(drawing, on_policy=1.0)
    stage = VisualizerStage(TINY, options, 0, planner=checkpoint, vae=checkpoint, start=checkpoint)
    grids = []
    places = stage.visualizer._places
    monkeypatch.setattr(
        stage.visualizer, "_places", lambda p, grid: grids.append(grid) or places(p, grid)
    )
    for prepared in stage._prepare(stage.studio.batches(0)):
        context = stage._context(prepared, focused=True)
        stage._errors(context, prepared.drawing, focused=True)
    assert len(grids) > 1 and set(grids) == {(4, 6)}


def test_on_policy_starts_are_where_the_models_own_steps_led(checkpoint: Path) -> None:
    options = VisualizerOptions(DRAWING, on_policy=1.0, sample_shift=4.0)
    stage = VisualizerStage(TINY, options, 0, planner=checkpoint, vae=checkpoint, start=checkpoint)
    prepared = stage._prepare(stage.studio.batches(0))[0]
    context = stage._context(prepared, focused=False)
    noise = torch.randn_like(context.clean)
    x, t = stage._own_way(context, noise)
    times = shifted_times(4, 4.0)
    step = times.index(round(float(t[0]), 6))
    assert 0 < step < 4
    assert torch.equal(x, integrate(stage.visualizer, context, noise, times[: step + 1]))
    error, _ = stage._errors(context, prepared.drawing, focused=True)
    error.backward()
    nothing = replace(prepared.drawing, settled=torch.zeros_like(prepared.drawing.settled))
    assert stage._errors(context, nothing, focused=True)[0].item() == 0
    stage.options = replace(options, coupled=True)
    assert stage._errors(context, nothing, focused=True)[0].item() > 0
    assert any(p.grad is not None and p.grad.any() for p in stage.visualizer.parameters())


def test_batches_in_a_row_have_one_size(checkpoint: Path) -> None:
    options = DrawingOptions(pictures=1, other_sizes=0.5, alike=3)
    batches = DrawingBatches(options, 0, checkpoint / "tokenizer.json")
    sizes = [batches(step)[0].target.shape[1:3] for step in range(18)]
    runs = [set(sizes[i : i + 3]) for i in range(0, 18, 3)]
    assert all(len(run) == 1 for run in runs)
    assert len(set.union(*runs)) > 1


def test_resized_changes_every_picture() -> None:
    document = resized(sample_document(np.random.default_rng(0), "story"), (320, 160))
    assert {p.size for p in document.pictures()} == {(320, 160)}
    assert {p.scene.size for p in document.pictures() if p.scene} == {(320, 160)}


def test_the_reference_window_keeps_given_pictures_and_two_drawn_ones() -> None:
    assert reference_window([False] * 2, 3) == [0, 1]
    assert reference_window([False] * 7, 3) == [0, 6]
    assert reference_window([True, False, False, True, False], 4) == [0, 1, 3, 4]
    assert reference_window([True] * 5, 3) == [0, 3, 4]


def test_drawings_with_about_as_many_references_are_drawn_together(checkpoint: Path) -> None:
    options = DrawingOptions(
        pictures=40, base=(64, 64), other_sizes=0.0, tasks=("t2i", "edit", "compose"),
        weights=(0.2, 0.2, 0.6),
    )  # fmt: skip
    drawings = DrawingBatches(options, 3, checkpoint / "tokenizer.json")(0)
    references = [torch.bincount(d.reference_rows, minlength=len(d.target)) for d in drawings]
    assert sum(len(d.target) for d in drawings) == 40
    ranges = [(int(r.min()), int(r.max())) for r in references]
    assert ranges[0] == (0, 0) and ranges[1] == (1, 1)
    assert ranges[2][0] >= 2 and ranges[2][1] <= 4 < ranges[3][0] and ranges[3][1] <= 9


def test_what_an_edit_changes_counts_more_where_most_of_the_picture_stays(checkpoint: Path) -> None:
    options = DrawingOptions(
        pictures=12, base=(128, 128), other_sizes=0.0, tasks=("edit",), weights=(1.0,)
    )
    path = checkpoint / "tokenizer.json"
    (plain,) = DrawingBatches(options, 5, path)(0)
    (counted,) = DrawingBatches(replace(options, changing=3.0), 5, path)(0)
    few = 0
    for row, reference in zip(plain.reference_rows.tolist(), plain.references, strict=True):
        changed = differing_tokens(plain.target[row].numpy(), reference.numpy()).reshape(-1)
        times = counted.weight[row] / plain.weight[row]
        if 0 < changed.mean() < 0.3:
            few += 1
            torch.testing.assert_close(times[changed] / times[~changed].mean(),
                                       torch.full((int(changed.sum()),), 3.0))  # fmt: skip
        else:
            torch.testing.assert_close(times, torch.ones_like(times))
    assert 0 < few < 12
