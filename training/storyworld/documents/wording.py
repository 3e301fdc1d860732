"""Words that users and captions use for what scenes hold. It chooses wordings, never scenes."""

from __future__ import annotations

from collections.abc import Sequence

from training.storyworld.documents.dice import Dice
from training.storyworld.scene import Accessory, Character, Scene
from training.storyworld.text import article, position

PLACE_PHRASES: dict[str, tuple[str, ...]] = {
    "forest": ("in the forest", "in a forest", "in the woods"),
    "beach": ("on the beach", "at the beach", "by the sea"),
    "meadow": ("in the meadow", "in a meadow", "in a field"),
    "mountains": ("in the mountains", "high in the mountains"),
    "village": ("in the village", "in a village", "in a little town"),
    "desert": ("in the desert", "in a desert"),
    "snowfield": ("on the snowfield", "on a snowfield", "in a snowy field"),
    "garden": ("in the garden", "in a garden"),
    "lake": ("by the lake", "at the lake", "beside a lake"),
    "castle": ("at the castle", "by the castle", "in front of a castle"),
}
TIME_PHRASES: dict[str, tuple[str, ...]] = {
    "morning": ("in the morning", "early in the morning", "at dawn", "at sunrise"),
    "day": ("by day", "during the day", "at noon", "in the daytime"),
    "evening": ("in the evening", "at dusk", "at sunset"),
    "night": ("at night", "late at night", "by moonlight", "at midnight"),
}
WEATHER_PHRASES: dict[str, tuple[str, ...]] = {
    "clear": ("under a clear sky", "in clear weather", "with a clear sky"),
    "cloudy": ("under a cloudy sky", "in cloudy weather", "under the clouds"),
    "rain": ("in the rain", "while it rains", "on a rainy day", "in rainy weather"),
    "snow": ("while it snows", "in falling snow", "in snowy weather"),
}
WEATHER_SENTENCES = {
    "clear": "The sky is clear.",
    "cloudy": "The sky is cloudy.",
    "rain": "It is raining.",
    "snow": "It is snowing.",
}
STYLE_PHRASES: dict[str, tuple[str, ...]] = {
    "flat": ("in flat colours", "in a flat style", "in flat style"),
    "ink": ("in ink", "as an ink drawing", "in an ink style"),
    "paper": ("in cut paper", "as a paper cut-out", "in a paper style"),
}
KIND_WORDS: dict[str, tuple[str, ...]] = {
    "fox": ("little fox", "fox cub"),
    "bear": ("bear cub", "teddy bear", "little bear"),
    "rabbit": ("bunny", "hare"),
    "cat": ("kitten", "kitty"),
    "dog": ("puppy", "little dog"),
    "mouse": ("little mouse",),
    "owl": ("little owl",),
    "penguin": ("little penguin",),
    "frog": ("little frog", "froggy"),
    "lion": ("lion cub", "little lion"),
    "elephant": ("little elephant", "baby elephant"),
    "hedgehog": ("little hedgehog",),
}
PLURALS = {"fox": "foxes", "mouse": "mice"}
INFINITIVES = {
    "standing": "stand", "walking": "walk", "running": "run", "jumping": "jump",
    "sitting": "sit", "waving": "wave", "sleeping": "sleep", "cheering": "cheer",
}  # fmt: skip
NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def plural(noun: str) -> str:
    return PLURALS.get(noun, noun + "s")


def listed(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def usual(dice: Dice, options: Sequence[str], share: float = 0.3) -> str:
    """Mostly the first wording, with probability `share` any of them."""
    return dice.pick(options) if dice.chance(share) else options[0]


def tinted(color: str, noun: str) -> str:
    """The noun with its colour, after an adjective of size: "little red fox"."""
    first, _, rest = noun.partition(" ")
    return f"{first} {color} {rest}" if first in ("little", "baby") else f"{color} {noun}"


def worn(accessory: Accessory) -> str:
    return article(f"{accessory.color} {accessory.kind}")


def dressed_in(accessory: Accessory) -> str:
    """ "in a blue scarf", but "with a blue satchel": nobody is in that."""
    return f"{'with' if accessory.kind == 'satchel' else 'in'} {worn(accessory)}"


def who(character: Character, *, wearing: str = "wearing") -> str:
    """ "a red fox wearing a blue scarf"."""
    name = article(f"{character.color} {character.kind}")
    return name if character.accessory is None else f"{name} {wearing} {worn(character.accessory)}"


def reference(scene: Scene, index: int) -> str:
    """ "the fox", or "the red fox" where another of its kind is in the picture."""
    chosen = scene.characters[index]
    alike = sum(c.kind == chosen.kind for c in scene.characters)
    return f"the {chosen.color} {chosen.kind}" if alike > 1 else f"the {chosen.kind}"


def place_phrase(place: str) -> str:
    return PLACE_PHRASES[place][0]


def time_phrase(time: str) -> str:
    return TIME_PHRASES[time][0]


def props_sentence(scene: Scene) -> str:
    """ "There is a lantern on the left and a book on the right.", or nothing."""
    count = len(scene.characters)
    items = [f"{article(p.kind)} {position(p.gap, count)}" for p in scene.props]
    return f"There is {listed(items)}." if items else ""


def caption(scene: Scene) -> str:
    """All that a picture shows and words can say, in sentences."""
    if scene.sticker:
        items = [f"{who(c)}, {c.action}" for c in scene.characters]
        return f"A {scene.style} sticker of {listed(items)}."
    clauses = [f"{who(c)} is {c.action}" for c in scene.characters]
    first = f"{capital(place_phrase(scene.place))} {time_phrase(scene.time)}, {listed(clauses)}."
    return " ".join(
        s for s in (first, WEATHER_SENTENCES[scene.weather], props_sentence(scene)) if s
    )
