"""What narration says about places, times and weather; all of it true of the picture it precedes.

No line names a prop, a colour, an action, or another place, time or weather than its own.
"""

from __future__ import annotations

TO_PLACE = {
    "forest": "into the forest", "beach": "down to the beach", "meadow": "out to the meadow",
    "mountains": "up into the mountains", "village": "to the village", "desert": "into the desert",
    "snowfield": "out to the snowfield", "garden": "into the garden", "lake": "down to the lake",
    "castle": "up to the castle",
}  # fmt: skip
PLACE_LINES = {
    "forest": (
        "The trees whispered to one another.", "Tall trees grew all around.",
        "It smelled of moss and pine.", "Every path led deeper between the trees.",
    ),
    "beach": (
        "The waves came in, one after another.", "The sand was fine and soft.",
        "The sea hummed its old song.", "The air tasted of salt.",
    ),
    "meadow": (
        "The grass was tall and ticklish.", "The grass swayed this way and that.",
        "Little flowers nodded in the breeze.", "Something rustled in the grass.",
    ),
    "mountains": (
        "The peaks seemed to touch the sky.", "The air was thin and fresh.",
        "Every sound came back as an echo.", "The path went up and up.",
    ),
    "village": (
        "The little houses huddled close together.", "Smoke curled from the chimneys.",
        "It smelled of fresh bread.", "The windows seemed to wink.",
    ),
    "desert": (
        "The sand went on and on.", "The dunes rolled away like waves.",
        "It was so quiet that you could hear the sand.", "The wind drew lines in the sand.",
    ),
    "snowfield": (
        "The cold nipped at every nose.", "Everything was soft and still.",
        "The ground crunched underfoot.", "Every breath hung in the air.",
    ),
    "garden": (
        "It smelled of leaves and earth.", "The flowers grew in neat rows.",
        "Something was growing in every corner.", "A little gate creaked.",
    ),
    "lake": (
        "Little waves lapped at the shore.", "Small ripples crossed the water.",
        "The reeds rustled softly.", "The water looked back at whoever looked in.",
    ),
    "castle": (
        "The towers reached high above.", "The old gate creaked.",
        "Flags fluttered on every tower.", "The great walls kept their secrets.",
    ),
}  # fmt: skip
WEATHER_LINES = {
    "clear": {
        "morning": ("The sun was just waking up.", "The morning air was fresh and bright."),
        "day": ("The sun was shining.", "There was not a cloud to be seen."),
        "evening": ("The sky glowed softly.", "The shadows grew long."),
        "night": ("The moon was bright.", "The sky was full of tiny lights."),
    },
    "cloudy": {
        "morning": ("Clouds drifted across the morning sky.",),
        "day": ("Clouds hung over everything.", "The clouds looked like pillows."),
        "evening": ("Clouds covered the evening sky.",),
        "night": ("The moon hid behind the clouds.",),
    },
    "rain": {
        "morning": ("The morning rain fell softly.", "Drip, drop, said the rain."),
        "day": ("Rain pattered down.", "Drip, drop, said the rain."),
        "evening": ("The evening rain fell softly.", "Drip, drop, said the rain."),
        "night": ("Rain fell in the dark.", "Drip, drop, said the rain."),
    },
    "snow": {
        "morning": ("Snow was falling on the quiet morning.", "Snowflakes danced in the air."),
        "day": ("Snowflakes danced in the air.", "Snow was falling, soft and slow."),
        "evening": ("Snow fell through the evening.", "Snowflakes danced in the air."),
        "night": ("Snow fell without a sound.", "Snowflakes danced in the dark."),
    },
}  # fmt: skip
ONE_TIME = {"morning": "One morning", "day": "One day", "evening": "One evening",
            "night": "One night"}  # fmt: skip
LATER = {
    "morning": ("The next morning,", "When morning came,"),
    "day": ("Around noon,", "At midday,"),
    "evening": ("When evening came,", "As the sun went down,", "Towards evening,"),
    "night": ("When night fell,", "That night,", "When it grew dark,"),
}
SOON = ("Then", "Then", "Soon", "After a while,", "A little later,", "Before long,")
THING_LINES = {
    "lantern": ("It glowed as warm as honey.", "It shone softly."),
    "book": ("It was full of stories.", "Its pages rustled."),
    "balloon": ("It bobbed up and down.", "It was as round as the moon."),
    "kite": ("It fluttered as if it wanted to fly.", "Its tail was long and curly."),
    "apple": ("It was round and shiny.", "It smelled so sweet."),
    "ball": ("It was round and bouncy.", "It rolled a little, as if to say hello."),
    "drum": ("It went boom when {he} tapped it.", "It had a deep, merry voice."),
    "basket": ("It was woven very neatly.", "It had room for all sorts of things."),
    "key": ("It was small and very old.", "It felt cool and heavy."),
    "umbrella": ("It opened with a soft whoosh.", "It was as big as a little roof."),
    "teapot": ("It was still warm.", "It had a curly handle."),
    "cake": ("It smelled of vanilla.", "It looked much too pretty to eat."),
    "star": ("It twinkled at {him}.", "It glowed, ever so softly."),
    "shell": ("It hummed when {he} held it to {his} ear.", "It was curly and smooth."),
    "mushroom": ("It was as round as a button.", "It looked like a tiny house."),
    "boat": ("It rocked from side to side.", "It was just the right size."),
}  # fmt: skip
