"""Documents that ask for one new picture: text-to-image, stickers and palettes.

A prompt names some slots of a scene and leaves the others to the model; the scene is sampled first,
so whatever the prompt names holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Picture, Text, Turn
from training.storyworld.documents.wording import (
    KIND_WORDS,
    NUMBERS,
    PLACE_PHRASES,
    STYLE_PHRASES,
    TIME_PHRASES,
    WEATHER_PHRASES,
    capital,
    dressed_in,
    listed,
    plural,
    tinted,
    usual,
    worn,
)
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import Character, Scene, Swatch
from training.storyworld.text import article, describe

SIZES: dict[tuple[int, int], tuple[str, ...]] = {
    (384, 256): ("wide", "landscape"),
    (384, 160): ("panoramic", "very wide"),
    (512, 160): ("panoramic", "very wide"),
    (256, 384): ("tall", "portrait"),
    (192, 384): ("tall", "very tall"),
    (256, 256): ("square",),
}
REQUESTS = (
    "Draw {}.", "Paint {}.", "Please draw {}.", "A picture of {}.", "Show me {}.",
    "Make a picture of {}.", "I'd like a picture of {}.", "Can you draw {}?", "{}", "{}.",
    "Draw me {}, please.", "An illustration of {}.", "Illustrate {}.", "I want to see {}.",
    "Could you paint {} for me?", "Generate an image of {}.", "A drawing of {}", "draw {}",
)  # fmt: skip
SIZED_REQUESTS = (
    "Draw a {size} picture of {}.", "A {size} picture of {}.", "Make a {size} image of {}.",
    "{}, {size} format", "I need a {size} illustration of {}.",
)  # fmt: skip
STYLED_REQUESTS = {
    "flat": ("A flat illustration of {}.", "Draw a flat picture of {}."),
    "ink": ("An ink drawing of {}.", "Draw {} in ink.", "An ink illustration of {}."),
    "paper": ("A paper cut-out of {}.", "Make {} out of cut paper.", "A paper collage of {}."),
}
OPENERS = (
    "Here is your picture.\n", "Here you are.\n", "Here it is.\n", "There you go!\n",
    "Of course.\n", "With pleasure.\n",
)  # fmt: skip


@dataclass
class Wish:
    """A prompt being made: its words, and what they ask for."""

    words: str = ""
    asked: dict[str, Any] = field(default_factory=dict)


def draw(scene: Scene, dice: Dice) -> Picture:
    """A picture that the assistant draws, with its dense prompt."""
    return Picture(scene, describe(scene, dice.words), scene.size)


def sample_size(dice: Dice, share: float = 0.12) -> tuple[tuple[int, int], str]:
    """Mostly 256x256 and no word for it; sometimes another shape and its word."""
    if not dice.chance(share):
        return (256, 256), ""
    size = dice.pick(tuple(SIZES))
    return size, dice.pick(SIZES[size])


def character_wish(
    dice: Dice, character: Character, detail: float, colored: bool = False
) -> tuple[str, dict[str, str]]:
    """Words for a character, naming each slot with probability `detail`, and what they ask for."""
    asked = {"kind": character.kind}
    noun = character.kind
    if dice.chance(0.12):
        noun = dice.pick(KIND_WORDS[noun])
    if colored or dice.chance(0.25 + 0.75 * detail):
        asked["color"] = character.color
        color = "grey" if character.color == "gray" and dice.chance(0.4) else character.color
        noun = tinted(color, noun)
    action = dice.chance(detail)
    if action:
        asked["action"] = character.action
    words = article(noun)
    if action and dice.chance(0.25):
        words, action = article(f"{character.action} {noun}"), False
    if character.accessory is not None and dice.chance(detail):
        asked["accessory"] = f"{character.accessory.color} {character.accessory.kind}"
        thing = character.accessory
        forms = (f"wearing {worn(thing)}", f"with {worn(thing)}", dressed_in(thing))
        words += f" {dice.pick(forms)}"
    if action:
        words += f" {character.action}"
    if dice.chance(0.3 * detail):
        asked["facing"] = character.facing
        words += f"{' and' if action else ''} facing {character.facing}"
    return words, asked


def scene_wish(dice: Dice, scene: Scene, detail: float) -> Wish:
    """A noun phrase for a scene that names each slot with probability `detail`."""
    wish = Wish()
    kinds = {c.kind for c in scene.characters}
    alike = len(kinds) < len(scene.characters)
    pairs = [character_wish(dice, c, detail, alike) for c in scene.characters]
    if len(pairs) > 1 and len(kinds) == 1 and dice.chance(0.5 * (1 - detail)):
        wish.words = f"{NUMBERS[len(pairs)]} {plural(scene.characters[0].kind)}"
        pairs = [("", {"kind": c.kind}) for c in scene.characters]
    else:
        wish.words = listed([words for words, _ in pairs])
    wish.asked["characters"] = [asked for _, asked in pairs]
    tail = []
    if scene.props and dice.chance(0.2 + 0.8 * detail):
        kinds_named = [p.kind for p in scene.props]
        wish.asked["props"] = kinds_named
        tail.append(dice.pick(("with", "next to", "and", "beside")) + " "
                    + listed([article(k) for k in kinds_named]))  # fmt: skip
    if scene.sticker:
        wish.words = " ".join([wish.words, *tail])
        return wish
    if dice.chance(0.2 + 0.8 * detail):
        wish.asked["place"] = scene.place
        tail.append(usual(dice, PLACE_PHRASES[scene.place]))
    if dice.chance(detail):
        wish.asked["time"] = scene.time
        tail.append(usual(dice, TIME_PHRASES[scene.time]))
    if dice.chance(detail * (0.5 if scene.weather == "clear" else 1)):
        wish.asked["weather"] = scene.weather
        options = WEATHER_PHRASES[scene.weather]
        # "on a rainy day" would contradict any other time of day.
        phrases = [o for o in options if "day" not in o or scene.time == "day"]
        tail.append(usual(dice, phrases))
    wish.words = " ".join([wish.words, *tail])
    return wish


UNLIKELY = {
    "desert": {"rain": "clear", "snow": "cloudy"},
    "beach": {"snow": "cloudy"},
    "snowfield": {"rain": "snow"},
}


def likely(scene: Scene) -> Scene:
    """The scene with weather that suits its place, for prompts that leave the weather free."""
    return replace(scene, weather=UNLIKELY.get(scene.place, {}).get(scene.weather, scene.weather))


def keywords(dice: Dice, scene: Scene) -> Wish:
    """A prompt of bare keywords: "red fox, forest, night"."""
    first = scene.characters[0]
    asked: dict[str, Any] = {"characters": [{"kind": first.kind, "color": first.color}]}
    words = [f"{first.color} {first.kind}"]
    for other in scene.characters[1:]:
        words.append(f"{other.color} {other.kind}")
        asked["characters"].append({"kind": other.kind, "color": other.color})
    for name in ("place", "time", "weather"):
        if dice.chance(0.6):
            words.append(getattr(scene, name))
            asked[name] = getattr(scene, name)
    if scene.props:
        words += [p.kind for p in scene.props]
        asked["props"] = [p.kind for p in scene.props]
    return Wish(", ".join(words), asked)


def request(dice: Dice, wish: Wish, scene: Scene, size_word: str) -> str:
    """The whole prompt, with the style and the size where they are named."""
    if size_word:
        wish.asked["size"] = list(scene.size)
        form = dice.pick(SIZED_REQUESTS).replace("{size}", size_word)
    elif dice.chance(0.12):
        wish.asked["style"] = scene.style
        form = dice.pick(STYLED_REQUESTS[scene.style])
    else:
        form = dice.pick(REQUESTS)
        if dice.chance(0.1):
            wish.asked["style"] = scene.style
            wish.words += f", {dice.pick(STYLE_PHRASES[scene.style])}"
    text = form.replace("{}", wish.words)
    return text if form.startswith(("draw", "{}")) and dice.chance(0.6) else capital(text)


def reply(dice: Dice, wish: Wish, scene: Scene) -> list[Text]:
    """Nothing, or one short sentence before the picture."""
    if dice.chance(0.45):
        return []
    if dice.chance(0.5) or len(scene.characters) > 2:
        return [Text(dice.pick(OPENERS))]
    names = listed([article(f"{c.color} {c.kind}") for c in scene.characters])
    where = "" if scene.sticker else f" {PLACE_PHRASES[scene.place][0]}"
    single = ("Here is {}.", "{}.", "Here comes {}.")
    form = dice.pick(single if len(scene.characters) == 1 else ("Here are {}.", "{}."))
    return [Text(capital(form.replace("{}", names + where)) + "\n")]


def picture_turns(dice: Dice, scene: Scene, wish: Wish, size_word: str) -> tuple[Turn, Turn]:
    wish.asked["pictures"] = 1
    prompt = request(dice, wish, scene, size_word)
    answer = (*reply(dice, wish, scene), draw(scene, dice))
    return Turn("user", (Text(prompt),), asked=wish.asked), Turn("assistant", answer)


def text_to_image(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """A prompt from two words to a full description, and its picture."""
    size, size_word = sample_size(dice)
    scene = sample_scene(dice.generator, held_out=held_out, size=size)
    detail = dice.pick((0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0))
    if dice.chance(0.07):
        scene = scene.with_(size=(256, 256))
        wish = keywords(dice, scene)
        wish.asked["pictures"] = 1
        if "weather" not in wish.asked:
            scene = likely(scene)
        answer = (*reply(dice, wish, scene), draw(scene, dice))
        return Turn("user", (Text(wish.words),), asked=wish.asked), Turn("assistant", answer)
    elif dice.chance(0.05):
        return dense_request(dice, scene)
    else:
        wish = scene_wish(dice, scene, detail)
    if "weather" not in wish.asked:
        scene = likely(scene)
    return picture_turns(dice, scene, wish, size_word)


def dense_request(dice: Dice, scene: Scene) -> tuple[Turn, ...]:
    """A prompt that already is a dense prompt."""
    scene = scene.with_(size=(256, 256))
    asked = {
        "pictures": 1, "place": scene.place, "time": scene.time, "weather": scene.weather,
        "style": scene.style, "props": [p.kind for p in scene.props],
        "characters": [full_slots(c) for c in scene.characters],
    }  # fmt: skip
    drawn = draw(scene, dice)
    return Turn("user", (Text(drawn.dense),), asked=asked), Turn("assistant", (drawn,))


def full_slots(character: Character) -> dict[str, str]:
    """Every named slot of a character."""
    worn_by = character.accessory
    found = {name: getattr(character, name) for name in ("kind", "color", "action", "facing")}
    return found if worn_by is None else {**found, "accessory": f"{worn_by.color} {worn_by.kind}"}


STICKER_REQUESTS = (
    "A sticker of {}.", "Make a sticker of {}.", "Draw {} as a sticker.",
    "{} on a transparent background", "I need a transparent picture of {}.",
    "A sticker with {}, please.", "Please turn {} into a sticker, no background.",
    "Cut out {} for me, without a background.",
)  # fmt: skip


def sticker(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """A picture on a transparent background."""
    count = 1 if dice.chance(0.75) else 2
    scene = sample_scene(dice.generator, characters=count, held_out=held_out)
    props = scene.props[:1] if dice.chance(0.3) else ()
    scene = replace(scene, sticker=True, place="meadow", time="day", weather="clear", props=props)
    wish = scene_wish(dice, scene, dice.pick((0.0, 0.3, 0.6, 1.0)))
    wish.asked |= {"sticker": True, "pictures": 1}
    form = dice.pick(STICKER_REQUESTS)
    opener = [Text(dice.pick((*OPENERS, "Here is your sticker.\n")))] if dice.chance(0.4) else []
    prompt = capital(form.replace("{}", wish.words))
    return (
        Turn("user", (Text(prompt),), asked=wish.asked),
        Turn("assistant", (*opener, draw(scene, dice))),
    )


def sample_palette(dice: Dice) -> tuple[Swatch, ...]:
    """Two to four colours with shares in steps of 5 %, largest first."""
    count = dice.number(2, 4)
    cuts = sorted(dice.some(range(2, 19), count - 1))
    while any(b - a < 2 for a, b in zip([0, *cuts], [*cuts, 20], strict=True)):
        cuts = sorted(dice.some(range(2, 19), count - 1))
    shares = sorted((b - a for a, b in zip([0, *cuts], [*cuts, 20], strict=True)), reverse=True)
    return tuple(
        Swatch("#" + "".join(f"{dice.number(0, 255):02X}" for _ in range(3)), share / 20)
        for share in shares
    )


PALETTE_REQUESTS = (
    "{picture} in the colours {palette}.", "{picture}. Palette: {palette}",
    "{picture}, palette {palette}", "{picture} with these colours: {palette}.",
    "Use the palette {palette} for {picture}.",
)  # fmt: skip


def palette(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """A picture whose backdrop has the colours, and their proportions, that the prompt lists."""
    swatches = sample_palette(dice)
    scene = sample_scene(dice.generator, characters=1 if dice.chance(0.7) else 2, held_out=held_out)
    scene = replace(scene, palette=swatches)
    wish = scene_wish(dice, scene, dice.pick((0.0, 0.3, 0.6)))
    if "weather" not in wish.asked:
        scene = likely(scene)
    wish.asked |= {"palette": [[s.hex, s.share] for s in swatches], "pictures": 1}
    colors = ", ".join(f"{s.hex} {round(100 * s.share)}%" for s in swatches)
    form = dice.pick(PALETTE_REQUESTS)
    prompt = capital(form.replace("{picture}", wish.words).replace("{palette}", colors))
    opener = [Text(dice.pick(OPENERS))] if dice.chance(0.3) else []
    return (
        Turn("user", (Text(prompt),), asked=wish.asked),
        Turn("assistant", (*opener, draw(scene, dice))),
    )
