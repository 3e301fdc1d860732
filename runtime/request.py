"""A request: prompt and options checked against the bundle and the room that is left.

Everything that can be refused is refused here, before any engine runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import CapacityError, OptionError, PromptError
from runtime.grammar import Alphabet, Grammar
from runtime.grid import Grid, grid_of_size
from runtime.interfaces import ImageGeometry
from runtime.manifest import LEFT, Manifest
from runtime.options import Options
from runtime.prompt import GivenPicture, Part, prompt_text, read_prompt
from runtime.tokenizer import Vocabulary

if TYPE_CHECKING:
    from runtime.prompt import Prompt

# What a picture with its dense prompt and a paragraph of text usually takes, besides ViT tokens.
USUAL_PICTURE_TOKENS = 96
TURN_TOKENS = 16
# A planner that promises more pictures is not held to it.
MOST_COUNTED = 40

Piece = tuple[int, ...] | GivenPicture


@dataclass(frozen=True, eq=False)
class Request:
    """A turn that fits: encoded pieces of the prompt, the answer's grammar, resolved options."""

    pieces: tuple[Piece, ...]
    text: str
    grammar: Grammar
    times: tuple[float, ...]
    seed: int
    temperature: float
    top_p: float
    deadline_s: float | None
    tokens: int

    @property
    def steps(self) -> int:
        """How many denoising steps a picture takes."""
        return len(self.times) - 1


def make_request(
    prompt: Prompt,
    options: Options,
    manifest: Manifest,
    vocabulary: Vocabulary,
    alphabet: Alphabet,
    countdown: Mapping[int, tuple[int, ...]],
    sizes: Sequence[Grid],
    room: int,
    max_references: int,
) -> Request:
    """Check and encode; `sizes` are the grids the planner may choose from, `alphabet` and
    `countdown` are the bundle's, for the grammar.

    Raises `PromptError`, `OptionError` or `CapacityError`.
    """
    image = manifest.image
    times = _times(manifest, options.steps)
    grids = sizes if options.size == "auto" else (grid_of_size(options.size, image),)
    parts = read_prompt(prompt, options.references, image)
    given = [part for part in parts if isinstance(part, GivenPicture)]
    if len(given) > max_references:
        raise PromptError(
            f"prompt: expected at most {max_references} pictures, found {len(given)}; the model "
            "looks at no more than that"
        )
    grammar = Grammar(
        alphabet, grids, image, options.max_images, options.think, manifest.limits, countdown
    )
    pieces = _encode(parts, vocabulary)
    tokens = TURN_TOKENS + sum(_length(piece, image) for piece in pieces)
    usual = USUAL_PICTURE_TOKENS + max(grid.vision_tokens(image) for grid in grids)
    _check_room(tokens, grammar, usual, room)
    sampling = manifest.sampling
    return Request(
        pieces=pieces,
        text=prompt_text(parts),
        grammar=grammar,
        times=times,
        seed=options.seed,
        temperature=sampling.temperature if options.temperature is None else options.temperature,
        top_p=sampling.top_p if options.top_p is None else options.top_p,
        deadline_s=options.deadline_s,
        tokens=tokens,
    )


def alphabet_of(manifest: Manifest, vocabulary: Vocabulary) -> Alphabet:
    """The tokens of a bundle's grammar."""
    vocab = manifest.cache.vocab
    size = min(vocabulary.size, vocab)
    return Alphabet(vocabulary.special, vocabulary.digits, vocabulary.times, size, vocab)


def countdown_of(manifest: Manifest, vocabulary: Vocabulary) -> dict[int, tuple[int, ...]]:
    """The tokens of the manifest's `countdown`, by number."""
    form = manifest.countdown
    if not form:
        return {}
    numbers = range(1, MOST_COUNTED + 1)
    return {n: tuple(vocabulary.encode(form.replace(LEFT, str(n)))) for n in numbers}


def _times(manifest: Manifest, steps: int | None) -> tuple[float, ...]:
    schedule = manifest.schedule
    wanted = schedule.default_steps if steps is None else steps
    if str(wanted) not in schedule.steps:
        known = ", ".join(sorted(schedule.steps, key=int))
        raise OptionError(f"steps: this bundle has schedules for {known}, found {wanted}")
    return schedule.steps[str(wanted)]


def _encode(parts: Sequence[Part], vocabulary: Vocabulary) -> tuple[Piece, ...]:
    return tuple(
        part if isinstance(part, GivenPicture) else tuple(vocabulary.encode(part)) for part in parts
    )


def _length(piece: Piece, image: ImageGeometry) -> int:
    if isinstance(piece, GivenPicture):
        return 1 + piece.grid.vision_tokens(image)
    return len(piece)


def _check_room(tokens: int, grammar: Grammar, usual: int, room: int) -> None:
    """Pictures take `usual` tokens each, but the last one is begun only where the longest fits."""
    plan = grammar.plan_room if grammar.think else 0
    last = max(usual, grammar.picture_room + 1)
    free = room - tokens - plan
    fitting = 1 + (free - last) // usual if free >= last else 0
    wanted = 1 if grammar.max_images is None else grammar.max_images
    if free >= 0 and fitting >= wanted:
        return
    if free < 0 or fitting == 0:
        planned = f", its plan {plan}" if plan else ""
        raise CapacityError(
            f"the prompt takes {tokens} tokens{planned} and a picture up to {last}, but {room} are "
            "free; shorten the prompt, start a new session or load with a larger max_tokens"
        )
    raise CapacityError(
        f"max_images={wanted} takes about {room - free + (wanted - 1) * usual + last} tokens, but "
        f"{room} are free; {fitting} pictures would fit"
    )
