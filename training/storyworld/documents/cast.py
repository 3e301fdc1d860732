"""The cast of a story: who is in it, by name and pronoun, and how sentences speak of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.wording import capital, worn
from training.storyworld.sampling import sample_character
from training.storyworld.scene import Character
from training.storyworld.text import article

PRONOUNS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}
NAMES = {
    "she": (
        "Ruby", "Poppy", "Hazel", "Luna", "Mila", "Nora", "Pip", "Tilly", "Olive", "Wren",
        "Maple", "Ivy", "Juno", "Clover", "Lotte", "Fern", "Bea", "Tansy", "Willa", "Mina",
    ),
    "he": (
        "Finn", "Bruno", "Otto", "Theo", "Milo", "Jasper", "Barnaby", "Hugo", "Toby", "Arlo",
        "Felix", "Oscar", "Rufus", "Basil", "Ned", "Kip", "Emil", "Gus", "Leo", "Sam",
    ),
}  # fmt: skip
_SYLLABLES = (
    "ba", "bo", "da", "do", "el", "fi", "ga", "ka", "ki", "la", "lo", "lu", "ma", "mo", "na", "ni",
    "no", "pa", "pi", "ra", "ri", "ro", "sa", "so", "ta", "ti", "to", "va", "wi", "ya", "za", "zu",
)  # fmt: skip
_ENDINGS = ("", "", "n", "l", "x", "s", "rt", "ck", "nny")


@dataclass(frozen=True)
class Member:
    """Somebody with a name. `pronoun` is "she" or "he"."""

    name: str
    pronoun: str
    character: Character

    def fields(self, prefix: str = "") -> dict[str, str]:
        """Words for templates: `{name}`, `{he}`, `{him}`, `{his}` and so on, after `prefix`."""
        he, him, his = PRONOUNS[self.pronoun]
        look = self.character
        return {
            f"{prefix}name": self.name,
            f"{prefix}he": he,
            f"{prefix}himself": "himself" if he == "he" else "herself",
            f"{prefix}He": capital(he),
            f"{prefix}him": him,
            f"{prefix}his": his,
            f"{prefix}His": capital(his),
            f"{prefix}kind": look.kind,
            f"{prefix}look": f"{look.color} {look.kind}",
            f"a_{prefix}look": article(f"{look.color} {look.kind}"),
            f"{prefix}worn": worn(look.accessory) if look.accessory else "",
            f"{prefix}worn_name": (
                f"{look.accessory.color} {look.accessory.kind}" if look.accessory else ""
            ),
        }


def invented_name(dice: Dice) -> str:
    """A name that no list holds, so that the planner learns to copy any name."""
    middle = "".join(dice.pick(_SYLLABLES) for _ in range(dice.number(1, 3)))
    return capital(dice.pick(_SYLLABLES) + middle + dice.pick(_ENDINGS))


def sample_member(dice: Dice, held_out: bool, others: tuple[Member, ...] = ()) -> Member:
    """Somebody of another kind and another name than `others`."""
    taken = {m.name for m in others}
    pronoun = dice.pick(("she", "he"))
    name = dice.pick([n for n in NAMES[pronoun] if n not in taken])
    return Member(name, pronoun, sample_other(dice, held_out, [m.character for m in others]))


def sample_other(dice: Dice, held_out: bool, others: list[Character]) -> Character:
    """A character of another kind than `others`."""
    while True:
        character = sample_character(dice.generator, held_out=held_out)
        if all(character.kind != other.kind for other in others):
            return character


def renamed(dice: Dice, member: Member, share: float) -> Member:
    """The member, with probability `share` under an invented name."""
    return replace(member, name=invented_name(dice)) if dice.chance(share) else member
