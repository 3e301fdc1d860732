"""How-to guides: numbered steps, each with a picture, shown by one character.

A guide is data: questions, and steps in order as beats; a new guide is one more entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.storyworld.documents.cast import sample_member
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Part, Text, Turn
from training.storyworld.documents.pictures import draw
from training.storyworld.documents.teller import Beat, Teller
from training.storyworld.documents.wording import NUMBERS
from training.storyworld.scene import STYLES
from training.storyworld.text import article


@dataclass(frozen=True)
class Guide:
    """`task` completes "How do I ...?"; `first` and `last` steps are always there."""

    task: str
    first: Beat
    steps: tuple[Beat, ...]
    last: Beat
    places: tuple[str, ...]
    times: tuple[str, ...] = ("morning", "day")
    weather: str = "clear"
    close: str = ""


# A beat is laid out as a sentence of the story.
# fmt: off
GUIDES = (
    Guide(
        "fly a kite",
        Beat("Take your kite to an open place.", "walking", props=("kite",)),
        (
            Beat("Check that the string of the kite is tied well.", "standing", props=("kite",)),
            Beat("Wait beside the kite until some wind comes along.", "sitting", props=("kite",),
                 weather="cloudy"),
            Beat("Now run with the kite, as fast as you can.", "running", props=("kite",)),
            Beat("Jump, and let out the string of the kite bit by bit.", "jumping",
                 props=("kite",)),
        ),
        Beat("Look, the kite is flying! Time to cheer.", "cheering", props=("kite",)),
        ("meadow", "beach", "mountains"),
        close="Hold on tight!",
    ),
    Guide(
        "grow mushrooms",
        Beat("Find a shady spot {at_place} and loosen the soil.", "standing"),
        (
            Beat("Walk in small circles and scatter the spores.", "walking"),
            Beat("Wait for the rain. It does the watering for you.", "standing", weather="rain"),
            Beat("Be patient. Sit down and wait.", "sitting"),
            Beat("Sleep on it for a night.", "sleeping", time="night"),
        ),
        Beat("In the morning your first mushroom is there. Well done!", "cheering",
             props=("mushroom",), time="morning", weather="clear"),
        ("forest", "garden", "meadow"),
        close="Say thank you to the soil.",
    ),
    Guide(
        "bake a cake",
        Beat("Fill a basket with flour, eggs and sugar.", "standing", props=("basket",)),
        (
            Beat("Carry the basket home carefully.", "walking", props=("basket",)),
            Beat("Mix everything. If it is fun, jump a little.", "jumping"),
            Beat("Put the dough in the oven, sit down and wait.", "sitting"),
            Beat("Take out the cake and let it cool. No tasting yet!", "standing", props=("cake",)),
        ),
        Beat("Your cake is ready. Hooray!", "cheering", props=("cake",)),
        ("village", "garden", "castle"),
        close="It tastes best when you share it.",
    ),
    Guide(
        "pack for a picnic",
        Beat("Take a big basket.", "standing", props=("basket",)),
        (
            Beat("Put an apple or two in the basket.", "standing", props=("basket", "apple")),
            Beat("Add a cake, if you have one.", "cheering", props=("basket", "cake")),
            Beat("Do not forget a book to read in the shade.", "standing",
                 props=("basket", "book")),
            Beat("Carry the basket {to_place}.", "walking", props=("basket",), place="next"),
        ),
        Beat("Sit down next to your basket and enjoy the picnic.", "sitting", props=("basket",)),
        ("meadow", "lake", "beach", "garden"),
        close="Enjoy your meal!",
    ),
    Guide(
        "make tea",
        Beat("Put a teapot in front of you.", "standing", props=("teapot",)),
        (
            Beat("Fetch some fresh water.", "walking"),
            Beat("Fill the teapot and add the leaves.", "standing", props=("teapot",)),
            Beat("Sit and wait beside the teapot for five minutes.", "sitting", props=("teapot",)),
            Beat("Call your friends. The teapot is full!", "waving", props=("teapot",)),
        ),
        Beat("Pour from the teapot, sit back and sip.", "sitting", props=("teapot",),
             time="evening"),
        ("village", "garden", "castle"),
        close="Careful, it is hot.",
    ),
    Guide(
        "play the drum",
        Beat("Place the drum in front of you.", "standing", props=("drum",)),
        (
            Beat("Sit up straight, right by the drum.", "sitting", props=("drum",)),
            Beat("Tap the drum softly: one, two, three.", "standing", props=("drum",)),
            Beat("Walk around the drum while you feel the beat.", "walking", props=("drum",)),
            Beat("Now louder! Jump along with the drum.", "jumping", props=("drum",)),
        ),
        Beat("Finish on the drum with a big boom, and take your applause.", "cheering",
             props=("drum",)),
        ("village", "castle", "meadow", "forest"),
        close="Practise every day, but not at night.",
    ),
    Guide(
        "stay dry in the rain",
        Beat("Look up. Are there dark clouds?", "standing", weather="cloudy"),
        (
            Beat("Take your umbrella with you.", "walking", props=("umbrella",)),
            Beat("When it begins to rain, open the umbrella.", "standing", props=("umbrella",),
                 weather="rain"),
            Beat("Do not run in the rain; the umbrella cannot keep up.", "walking",
                 props=("umbrella",), weather="rain"),
            Beat("Offer a place under the umbrella to someone in the rain.", "waving",
                 props=("umbrella",), weather="rain"),
        ),
        Beat("The sky is clear again. Shake out your umbrella.", "cheering", props=("umbrella",),
             weather="clear"),
        ("village", "forest", "garden", "lake"),
        weather="cloudy",
        close="And if you get wet after all, jump in a puddle.",
    ),
    Guide(
        "sail a boat",
        Beat("Bring your boat to the water.", "walking", props=("boat",)),
        (
            Beat("Look the boat over. Does it have any holes?", "standing", props=("boat",)),
            Beat("Wave to everyone before the boat sets off.", "waving", props=("boat",)),
            Beat("Sit down in the middle, so that the boat does not tip.", "sitting",
                 props=("boat",)),
            Beat("Cheer when the boat catches the wind.", "cheering", props=("boat",)),
        ),
        Beat("Back on land, jump for joy. Your boat has made it!", "jumping", props=("boat",),
             time="evening"),
        ("lake", "beach"),
        close="Ahoy!",
    ),
    Guide(
        "fall asleep",
        Beat("When evening comes, take a slow walk.", "walking", time="evening"),
        (
            Beat("Sit down with a good book.", "sitting", props=("book",), time="evening"),
            Beat("Light a lantern, just a small one.", "standing", props=("lantern",),
                 time="night"),
            Beat("Wave good night to everyone.", "waving", time="night"),
            Beat("Sit still and count to ten.", "sitting", time="night"),
        ),
        Beat("Close your eyes. Sleep comes all by itself.", "sleeping", time="night"),
        ("village", "castle", "garden", "forest"),
        ("evening",),
        close="Good night.",
    ),
    Guide(
        "collect shells",
        Beat("Go to the beach early.", "walking", place="beach", time="morning"),
        (
            Beat("Take a basket with you.", "walking", props=("basket",)),
            Beat("Stand still and look around. There is a shell!", "standing", props=("shell",)),
            Beat("Sit down and listen to the shell. It hums.", "sitting", props=("shell",)),
            Beat("Put the shell in the basket, very gently.", "standing",
                 props=("shell", "basket")),
        ),
        Beat("Show everyone your finest shell.", "cheering", props=("shell",)),
        ("beach",),
        ("morning",),
        close="Leave a few for the others.",
    ),
    Guide(
        "play ball",
        Beat("Put the ball in front of you.", "standing", props=("ball",)),
        (
            Beat("Run up to the ball.", "running", props=("ball",)),
            Beat("Jump over the ball, once to the left and once to the right.", "jumping",
                 props=("ball",)),
            Beat("Tired? Sit down by the ball for a moment.", "sitting", props=("ball",)),
            Beat("Wave, and ask who would like to play ball with you.", "waving", props=("ball",)),
        ),
        Beat("Kick the ball. Goal!", "cheering", props=("ball",)),
        ("meadow", "beach", "village", "garden"),
        close="And now the other way round.",
    ),
    Guide(
        "watch the night sky",
        Beat("Wait until evening, and wrap up warm.", "standing", time="evening"),
        (
            Beat("Climb up into the mountains. There the sky is near.", "walking",
                 place="mountains"),
            Beat("Take a lantern to find the way at night.", "walking", props=("lantern",),
                 time="night"),
            Beat("Sit down and look up into the night.", "sitting", time="night"),
            Beat("If you see a star, make a wish.", "standing", props=("star",), time="night"),
        ),
        Beat("Say hello to the moon at night. It may well wink back.", "waving", time="night"),
        ("meadow", "lake", "village"),
        ("evening",),
        close="Sweet dreams.",
    ),
)
# fmt: on
QUESTIONS = (
    "How do I {task}?",
    "How can I {task}?",
    "How do you {task}?",
    "Show me how to {task}.",
    "Teach me to {task}.",
    "Explain how to {task}, with pictures.",
    "how to {task}",
    "A guide: how to {task}.",
    "Can you show me how to {task}?",
    "I want to {task}. How?",
    "Step by step, how do I {task}?",
)  # fmt: skip
OPENERS = ("Here is how.\n", "It is easy.\n", "Let me show you.\n", "This is how it goes.\n")


def guide_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """A question and its numbered, illustrated answer."""
    guide = dice.pick(GUIDES)
    teller = _teller(dice, guide, held_out)
    count = dice.number(3, 5)
    steps = [guide.first, *dice.ordered(guide.steps, count - 2), guide.last]
    for step in steps:
        teller.play(step)
    prompt, asked = _prompt(dice, guide, teller, count)
    parts: list[Part] = []
    opener = dice.pick(OPENERS) if dice.chance(0.7) else ""
    for index, (text, scene) in enumerate(teller.told, 1):
        parts += [Text(f"{opener if index == 1 else ''}{index}. {text}"), draw(scene, dice)]
    if guide.close and dice.chance(0.7):
        parts.append(Text(guide.close + "\n"))
    return Turn("user", (Text(prompt),), asked=asked), Turn("assistant", tuple(parts))


def _teller(dice: Dice, guide: Guide, held_out: bool) -> Teller:
    member = sample_member(dice, held_out)
    place = dice.pick(guide.places)
    return Teller(
        dice=dice, hero=member, friend=member, guests=(),
        things={"thing": "ball", "second": "cake"},
        place=place, time=dice.pick(guide.times), weather=guide.weather, style=dice.pick(STYLES),
        size=(256, 256), route=[p for p in guide.places if p != place],
    )  # fmt: skip


def _prompt(dice: Dice, guide: Guide, teller: Teller, count: int) -> tuple[str, dict[str, Any]]:
    asked: dict[str, Any] = {"pictures": None}
    prompt = dice.pick(QUESTIONS).replace("{task}", guide.task)
    more = []
    if dice.chance(0.25):
        asked["pictures"] = count
        number = str(count) if dice.chance(0.5) else NUMBERS[count]
        more.append(dice.pick(("In {} steps.", "{} steps, please.", "Use {} pictures.")).format(
            number).capitalize())  # fmt: skip
    look = teller.hero.character
    if dice.chance(0.3):
        named = {"kind": look.kind}
        words = article(look.kind)
        if dice.chance(0.6):
            named["color"] = look.color
            words = article(f"{look.color} {look.kind}")
        asked["characters"] = [named]
        more.append(
            dice.pick(("Let {} show it.", "Show it with {}.", "Draw {} doing it.")).format(words)
        )
    if more and not prompt.endswith((".", "?", "!")):
        prompt += "."
    return " ".join([prompt, *more]), asked
