"""Features of the planner's eyes learn to look like the words for what they see."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from training.emphasis import numbering_tokens  # noqa: E402
from training.labels import GROUPS, patch_labels  # noqa: E402
from training.models import Planner  # noqa: E402
from training.models.config import named_config  # noqa: E402
from training.naming import misnaming, name_targets, name_tokens  # noqa: E402
from training.reading import tells_props  # noqa: E402
from training.sequence import IMAGINE  # noqa: E402
from training.storyworld.documents.document import Document, Picture, Text, Turn  # noqa: E402
from training.storyworld.sampling import sample_scene  # noqa: E402
from training.storyworld.scene import Prop  # noqa: E402
from training.tokenizer import train_tokenizer  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return train_tokenizer(tmp_path_factory.mktemp("naming") / "tokenizer.json", 60)


def test_a_cell_is_named_by_the_words_for_what_it_shows(tokenizer) -> None:
    words = name_tokens(tokenizer)
    scene = sample_scene(np.random.default_rng(1), characters=1)
    labels = torch.from_numpy(patch_labels(scene))
    targets = name_targets(labels, words, tokenizer.get_vocab_size())
    assert targets.shape == (16, tokenizer.get_vocab_size())
    assert torch.allclose(targets.sum(1), torch.ones(16))
    kind = list(GROUPS).index("kind")
    fox = words[kind, GROUPS["kind"].index(scene.characters[0].kind)]
    shows = (labels[..., kind] != GROUPS["kind"].index("nothing")).any(1)
    assert shows.any() and not shows.all()
    assert ((targets[:, fox] > 0) == shows).all()
    place = words[list(GROUPS).index("place"), GROUPS["place"].index(scene.place)]
    assert (targets[:, place] > 0).all()
    assert (targets[shows, fox] > targets[shows, place]).all()


def test_features_that_look_like_their_words_are_right(tokenizer) -> None:
    torch.manual_seed(0)
    config = named_config("tiny")
    planner = Planner(config)
    targets = torch.zeros(4, config.planner.vocab)
    targets[torch.arange(4), torch.tensor([20, 30, 40, 50])] = 1.0
    features = torch.zeros(4, config.twin.width, requires_grad=True)
    before = planner.embedding.weight.detach().clone()
    optimizer = torch.optim.Adam([features], lr=0.1)
    first = float(misnaming(planner, features, targets).detach())
    for _ in range(100):
        optimizer.zero_grad()
        misnaming(planner, features, targets).backward()
        optimizer.step()
    assert float(misnaming(planner, features, targets).detach()) < first - 0.5
    logits = planner.logits(features)
    assert logits.argmax(1).tolist() == [20, 30, 40, 50]
    assert planner.embedding.weight.grad is None and torch.equal(planner.embedding.weight, before)


def test_numbers_are_those_at_the_beginning_of_a_dense_prompt() -> None:
    spelled = ["-"] * 12 + ["1", "3", " to", " fox", "7"]
    tokens = [13, IMAGINE, 12, 13, 14, 15, 16, 13, IMAGINE, 15, 13]
    marked = numbering_tokens(np.array(tokens), spelled)
    assert marked.tolist() == [False, False, True, True, *[False] * 7]


def test_what_only_the_picture_tells() -> None:
    scene = sample_scene(np.random.default_rng(1), characters=1)
    scene = scene.with_(props=(Prop("lantern", 0),))
    seen = Picture(scene)

    def told(question: str, *answer: Text | Picture) -> bool:
        turns = (Turn("user", (Text(question), seen)), Turn("assistant", answer))
        return tells_props(Document("0", "caption", turns))

    assert told("What do you see?", Text("There is a lantern on the left."))
    assert told("Make it night.", Picture(scene, "forest at night: a lantern on the left"))
    assert not told("Where is the lantern?", Text("The Lantern is on the left."))
    assert not told("What do you see?", Text("There are lanternfish."))
    assert not told("Make it night.", Text("Of course."))
