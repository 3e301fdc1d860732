"""Plots about days and nights: weather, fears, songs and wishes."""

from __future__ import annotations

from training.storyworld.documents.plots.plot import Plot
from training.storyworld.documents.teller import Beat

# A beat is laid out as a sentence of the story.
# fmt: off
FEAR = Plot(
    "afraid of the dark",
    (
        "is afraid of the dark",
        "learns not to be afraid of the dark",
        "cannot sleep in the dark",
    ),
    (
        Beat("{intro}{name} was brave all day long, but when the light began to fade, {he} felt "
             "very small.", "standing", time="evening"),
        Beat("{intro}But {he} had a secret: {he} was afraid of the dark. {air}", "sitting",
             time="night"),
    ),
    (
        Beat("That night {name} heard a noise. Tap, tap, tap! {He} ran as fast as {he} could.",
             "running", time="night", gives="noise"),
        Beat('But it was only {f_name}, {a_f_look}. "The dark is just the day with its eyes '
             'closed," said {f_name}.', "standing", "waving", time="night", needs=("noise",),
             gives="friend"),
        Beat("{f_name} lit {a_thing}. It glowed as warm as honey.", "standing", "standing",
             props=("thing",), time="night", needs=("friend",), gives="light"),
        Beat("Side by side they walked {to_place}. {line}", "walking", "walking", place="next",
             time="night", needs=("friend",)),
        Beat('"Listen," whispered {f_name}. They sat quite still. The night was full of small, '
             "friendly sounds.", "sitting", "sitting", time="night", needs=("friend",)),
        Beat('{name} took one step into the dark, and then another. "I can do it!"', "walking",
             time="night"),
        Beat("{name} jumped over a shadow. It was only {his} own!", "jumping", time="night"),
    ),
    (
        Beat("{name} closed {his} eyes. It was dark in there, too, and not scary at all. Soon "
             "{he} was fast asleep.", "sleeping", time="night"),
        Beat('"I am not afraid any more!" {name} cheered into the night. And the night said '
             "nothing, in a friendly way.", "cheering", time="night"),
    ),
    (
        "Good night, {name}.",
        "And since then, the night has been {name}'s friend.",
    ),
    things=("lantern",),
    times=("evening",),
    drift=False,
)

RAIN = Plot(
    "waiting for the rain to stop",
    ("waits for the rain to stop", "does not like the rain", "is caught in the rain"),
    (
        Beat('{intro}{one_time} it rained and rained. "When will it stop?" sighed {name}.',
             "sitting", weather="rain"),
        Beat("{intro}{one_time}, {he} was out {at_place} when it began to rain. Plip, plop, "
             "right on {his} nose!", "standing", weather="rain"),
    ),
    (
        Beat("{name} ran for shelter, but there was none. {must_line}", "running", weather="rain",
             place="next"),
        Beat('{then} {name} saw something [useful|wonderful]: an umbrella! "Just what I need," '
             "{he} said.", "standing", props=("umbrella",), weather="rain", gives="umbrella"),
        Beat('{then} {f_name}, {a_f_look}, came by, as wet as can be. "There is room for two," '
             "said {name}.", "waving", "standing", props=("umbrella",), weather="rain",
             needs=("umbrella",), gives="friend"),
        Beat("Splish, splash! They jumped from puddle to puddle.", "jumping", "jumping",
             weather="rain", needs=("friend",)),
        Beat("{name} jumped into a puddle, just to see. Splash! That was fun.", "jumping",
             weather="rain"),
        Beat("{then} {name} sat down and listened. Drip, drop, drip: the rain was singing.",
             "sitting", weather="rain", time="later"),
        Beat("{then} the drops grew fewer and fewer, until only the clouds were left.", "standing",
             weather="cloudy"),
    ),
    (
        Beat("{then} the sky cleared, and everything sparkled. {name} cheered.", "cheering",
             weather="clear"),
        Beat("And just when {name} had begun to like it, the sky cleared. {He} laughed and "
             "waved at the last cloud.", "waving", weather="clear"),
    ),
    (
        "Rain, thought {name}, is only the sky playing.",
        "And the puddles stayed for days.",
    ),
    weathers=("rain",),
    avoid=("desert", "snowfield"),
)

SNOW = Plot(
    "the first snow",
    ("waits for the first snow", "loves the snow", "sees snow for the first time"),
    (
        Beat("{intro}All week, {name} had been waiting for the first snowflake. But there were "
             "only clouds.", "standing", weather="cloudy"),
        Beat('{intro}"It smells of winter," said {name}, and looked up at the clouds.', "sitting",
             weather="cloudy"),
    ),
    (
        Beat("Then something soft landed on {his} nose. A snowflake! It was snowing!", "standing",
             weather="snow"),
        Beat("{name} ran through the falling snow, {to_place}. {air}", "running", weather="snow",
             place="next"),
        Beat("{He} jumped, and tried to catch a snowflake with {his} tongue.", "jumping",
             weather="snow"),
        Beat('{then} {f_name}, {a_f_look}, came along. "Is the snow not beautiful?" "It is," said '
             "{name}.", "waving", "standing", weather="snow", gives="friend"),
        Beat("They ran through the snow and left two long rows of footprints.", "running",
             "running", weather="snow", needs=("friend",)),
        Beat("{then} they had cold feet and warm hearts. They sat down by {a_thing}, and warmed "
             "up again.", "sitting", "sitting", props=("thing",), weather="snow", time="later",
             needs=("friend",)),
        Beat("{then} {name} walked very slowly, to hear the snow crunch.", "walking",
             weather="snow", time="later"),
    ),
    (
        Beat('{then} the whole world was soft and quiet. "Hooray for the snow!" cheered {name}.',
             "cheering", weather="snow"),
        Beat("{then} {name} fell asleep while the snow tucked in the world.", "sleeping",
             weather="snow", time="night"),
    ),
    (
        "And the next morning, there was even more of it.",
        "Snow, thought {name}, is how the sky says hello.",
    ),
    things=("teapot",),
    times=("morning", "day"),
    weathers=("cloudy",),
    avoid=("desert", "beach", "snowfield"),
)

WHOLE_DAY = Plot(
    "a whole day",
    (
        "has a wonderful day",
        "is awake from morning to night",
        "does not want to go to bed",
        "has a busy day",
    ),
    (
        Beat('{intro}Early in the morning {name} waved to the sun. "Hello, day! What shall we '
             'do?"', "waving", time="morning"),
        Beat("{intro}In the morning {name} was up before everyone else. {line}", "jumping",
             time="morning"),
    ),
    (
        Beat("First {he} went for a walk {at_place}. {must_line}", "walking", place="next",
             time="morning"),
        Beat("At midday {name} played with {a_thing}. {thing_line}", "jumping", props=("thing",),
             time="day"),
        Beat('Then {f_name}, {a_f_look}, came to visit. "What a fine day!" they said, and sat '
             "down together.", "sitting", "sitting", time="day", gives="friend"),
        Beat("All afternoon they raced each other {at_place}. {line}", "running", "running",
             place="next", time="day", needs=("friend",)),
        Beat("When evening came, {name} sat and watched the sky change. {line}", "sitting",
             place="next", time="evening"),
        Beat('"Only one more dance," said {name} in the evening. "Hooray!"', "cheering",
             time="evening"),
        Beat("{name} walked home through the evening. {line}", "walking", place="home",
             time="evening"),
    ),
    (
        Beat("At last the night came. {name} closed {his} eyes and slept.", "sleeping",
             time="night", place="home"),
        Beat('"I am not tired at all," said {name} that night. And then {he} was asleep.',
             "sleeping", time="night"),
    ),
    (
        "Sleep well, {name}. Tomorrow is another day.",
        "Good night, {name}.",
    ),
    things=("ball", "kite", "balloon", "drum"),
    times=("morning",),
    weathers=("clear",),
    drift=False,
)

MUSIC = Plot(
    "the drum",
    ("learns to play the drum", "wants to play the drum", "finds a drum", "loves music"),
    (
        Beat('{intro}{one_time}, {he} found a drum {at_place}. "Boom!" it said, when {he} '
             "tapped it.", "standing", props=("thing",)),
    ),
    (
        Beat("Boom, boom, bang! It did not sound like music yet. {name} sat down to practise.",
             "sitting", props=("thing",)),
        Beat('"Too loud!" called somebody. So {name} took the drum {to_place}. {line}', "walking",
             props=("thing",), place="next"),
        Beat("{name} drummed, softly at first, and then a little louder. {air}", "standing",
             props=("thing",)),
        Beat('{then} {f_name}, {a_f_look}, stopped to listen. "That is lovely," {f_he} said, and '
             "began to jump to the beat.", "standing", "jumping", props=("thing",), gives="friend"),
        Beat("{name} drummed and {f_name} sang. They were almost a band!", "cheering", "cheering",
             props=("thing",), needs=("friend",)),
        Beat("{then} {name} drummed so fast that {he} jumped along. Boom, boom, boom!", "jumping",
             props=("thing",), time="later"),
    ),
    (
        Beat("{then} there was a concert {at_place}. When the last boom faded, everyone cheered.",
             "waving", "cheering", ("cheering",), props=("thing",), place="next"),
        Beat("{then} {name} played the softest song of all, and fell asleep beside the drum.",
             "sleeping", props=("thing",), time="night"),
    ),
    (
        "And if you are very quiet, you can still hear it: boom, boom, boom.",
        "Every day is a song, if you listen for the beat.",
    ),
    things=("drum",),
)

KITE = Plot(
    "the kite",
    ("wants to fly a kite", "learns to fly a kite", "has a new kite"),
    (
        Beat('{intro}{one_time}, {name} had a brand-new kite. "Today you will fly," {he} told '
             "it.", "standing", props=("thing",)),
    ),
    (
        Beat("{name} ran with the kite behind {him}. It bumped along the ground. {line}", "running",
             props=("thing",)),
        Beat('"There is not enough wind," said {name}, and {he} carried the kite {to_place}.',
             "walking", props=("thing",), place="next"),
        Beat("{then} clouds came, and with them a little wind. {name} waited by the kite.",
             "standing", props=("thing",), weather="cloudy"),
        Beat("{name} jumped as high as {he} could, but the kite came down again.", "jumping",
             props=("thing",)),
        Beat('{then} {f_name}, {a_f_look}, came to help. "You hold the kite, and I will run!"',
             "standing", "waving", props=("thing",), gives="friend"),
        Beat("They ran together with the kite, faster and faster. {line}", "running", "running",
             props=("thing",), needs=("friend",)),
        Beat('{then} {name} sat down next to the kite. "One last try," {he} said. {air}', "sitting",
             props=("thing",), time="later"),
    ),
    (
        Beat('And then a gust of wind came, and the kite danced. "It flies! It flies!" cheered '
             "{name}.", "cheering", props=("thing",)),
        Beat("{At_place}, the wind was just right at last. {name} jumped for joy with {his} "
             "kite.", "jumping", props=("thing",), place="next"),
    ),
    (
        "Some things only need a little wind, and a lot of patience.",
        "And from up there, the kite could see the whole world.",
    ),
    things=("kite",),
    places=("meadow", "beach", "mountains", "garden"),
    weathers=("clear",),
)

GROWING = Plot(
    "growing something",
    ("grows a mushroom", "wants to grow something", "waits for something to grow"),
    (
        Beat("{intro}{one_time}, {name} planted something very small {at_place}. Then {he} sat "
             "down to wait.", "sitting"),
    ),
    (
        Beat("{name} waited and waited. Nothing. {He} walked up and down. {air}", "walking"),
        Beat('{then} clouds came. "Good," said {name}. "It will be thirsty."', "standing",
             weather="cloudy"),
        Beat('{then} it rained, and {name} jumped for joy. "Drink, little one!"', "jumping",
             weather="rain"),
        Beat('{f_name}, {a_f_look}, came by. "What are you doing?" "Waiting," said {name}. "May '
             'I wait, too?" asked {f_name}.', "sitting", "standing", gives="friend"),
        Beat("They waited together, which is much less work. {line}", "sitting", "sitting",
             time="later", needs=("friend",)),
        Beat("{then} {name} fell asleep from all that waiting.", "sleeping", time="night"),
    ),
    (
        Beat("And one morning, there it was: a fine, round mushroom! {name} cheered.", "cheering",
             props=("mushroom",), time="morning", weather="clear"),
        Beat("The next morning {name} could hardly believe it. A mushroom, as big as a pillow!",
             "jumping", props=("mushroom",), time="morning"),
    ),
    (
        "Good things take time, and a little rain.",
        "Waiting is hard, thought {name}, but it is worth it.",
    ),
    places=("garden", "forest", "meadow"),
    weathers=("clear",),
    drift=False,
)
# fmt: on

DAYS = (FEAR, RAIN, SNOW, WHOLE_DAY, MUSIC, KITE, GROWING)
