"""Plots about two or more: friends made, found, helped, surprised and woken."""

from __future__ import annotations

from training.storyworld.documents.plots.plot import Plot
from training.storyworld.documents.teller import Beat

SHARED = ("cake", "apple", "ball", "book", "kite", "drum", "balloon", "basket", "teapot")

# A beat is laid out as a sentence of the story.
# fmt: off
MAKING = Plot(
    "making a friend",
    (
        "makes a new friend",
        "is looking for a friend",
        "meets {a_f_kind}",
        "wants a friend",
        "makes friends with {a_f_kind}",
    ),
    (
        Beat("{intro}{name} had everything {he} needed, except a friend. {line}", "sitting"),
        Beat("{intro}{one_time}, {name} went out {at_place} to look for a friend. {air}",
             "walking"),
    ),
    (
        Beat("{He} looked high and low {at_place}. {line} Nobody there!", "walking", place="next"),
        Beat('{then} {name} saw somebody {at_place}. It was {a_f_look}. "Hello," said {name}, a '
             'little shyly. "I am {f_name}," came the answer.', "waving", "standing",
             gives="friend"),
        Beat('{f_name} had brought {a_thing}. "Shall we share it?" {f_he} asked. They sat down '
             "side by side.", "sitting", "sitting", props=("thing",), needs=("friend",)),
        Beat("{then} they ran all the way {to_place}. {line}", "running", "running", place="next",
             needs=("friend",)),
        Beat("{f_name} told a joke. {name} laughed so hard that {he} jumped into the air.",
             "jumping", "standing", needs=("friend",)),
        Beat("{then} it began to rain, but two friends do not mind getting wet.", "walking",
             "walking", weather="rain", needs=("friend",)),
        Beat("{then} they sat close together and told each other stories. {air}", "sitting",
             "sitting", time="later", needs=("friend",)),
    ),
    (
        Beat('"Will you be my friend, {f_name}?" asked {name}. "I already am!" said {f_name}, '
             "and they both cheered.", "cheering", "cheering", needs=("friend",)),
        Beat('{then} it was time to go home. "See you tomorrow!" called {name}. {f_name} waved '
             "back.", "waving", "waving", time="late", needs=("friend",)),
        Beat('{then} {name} met {f_name}, {a_f_look}. "Would you like to play?" they both '
             "asked, at the very same time.", "cheering", "cheering", unless="friend"),
    ),
    (
        "And {name} was never lonely again.",
        "A friend, thought {name}, is the best thing you can find.",
    ),
    friend=True,
    things=SHARED,
)

GIFT = Plot(
    "a gift",
    (
        "has a present for {his} friend",
        "brings {his} friend {a_thing}",
        "wants to give {a_thing} to a friend",
        "takes {a_thing} to {his} friend",
    ),
    (
        Beat('{intro}{one_time}, {name} had an idea. "I will bring {f_name} a present!" And '
             "{he} got {a_thing} ready. {thing_line}", "standing", props=("thing",)),
    ),
    (
        Beat("{name} set off with the {thing} {to_place}. {line}", "walking", props=("thing",),
             place="next"),
        Beat("The way was long, so {he} sat down beside the {thing} to rest. {air}", "sitting",
             props=("thing",)),
        Beat("{then} it began to rain. {name} [kept|held] the {thing} safe and dry.", "standing",
             props=("thing",), weather="rain"),
        Beat("{then} {name} began to run, for it was getting late. {line}", "running",
             props=("thing",), place="next", time="late"),
        Beat("{name} was so excited that {he} jumped all the way {to_place}.", "jumping",
             props=("thing",), place="next"),
        Beat('"Nearly there," said {name} to the {thing}. {line}', "walking", props=("thing",),
             weather="clear"),
    ),
    (
        Beat('{At_place}, {f_name} the {f_look} was waiting. "For me?" {f_he} asked. "For you!" '
             "said {name}, and they both cheered.", "cheering", "cheering", props=("thing",),
             place="next"),
        Beat('{then} {name} found {f_name}, {a_f_look}, {at_place}. "{A_thing}! It is just what '
             'I wished for!" cried {f_name}.', "waving", "jumping", props=("thing",), place="next"),
    ),
    (
        "Giving, thought {name}, is even nicer than getting.",
        "And {name} went home with empty hands and a full heart.",
    ),
    friend=True,
)

RACE = Plot(
    "a race",
    ("runs a race", "enters a race", "races {a_f_kind}", "wants to win a race"),
    (
        Beat('{intro}{one_time}, {f_name} the {f_look} said, "I bet I am faster than you!" "Let '
             'us see," said {name}.', "standing", "standing", gives="friend"),
        Beat("{intro}{one_time}, {name} and {f_name} the {f_look} met {at_place} for a race. "
             "Ready, steady ...", "standing", "standing", gives="friend"),
    ),
    (
        Beat('"Go!" And off they ran. {line}', "running", "running"),
        Beat("{name} was in front! {He} ran {to_place} as fast as {he} could. {line}", "running",
             place="next"),
        Beat("{f_name} was close behind. {f_He} ran and ran. {air}", "running", "running"),
        Beat("{name} jumped over everything in the way. {line}", "jumping", place="next"),
        Beat("{then} {name} had to sit down and catch {his} breath. {line}", "sitting"),
        Beat("{then} it began to rain, but nobody slowed down. Splish, splash!", "running",
             "running", weather="rain"),
        Beat('{f_name} slipped and sat down with a bump. {name} stopped at once. "Are you all '
             'right?"', "standing", "sitting"),
    ),
    (
        Beat('{At_place}, they crossed the finish line side by side. "We both won!" they cheered.',
             "cheering", "cheering", place="next"),
        Beat('{name} reached {the_place} first, by the tip of {his} nose. "Well run!" said '
             "{f_name}, and waved.", "cheering", "waving", place="next"),
    ),
    (
        "And the prize? They shared it, of course.",
        "Running is fun, but running together is better.",
    ),
    friend=True,
)

PARTY = Plot(
    "a party",
    (
        "plans a surprise party",
        "throws a party for {his} friends",
        "gives a surprise party",
    ),
    (
        Beat("{intro}\"Today is {f_name}'s birthday,\" said {name}. \"I will throw a "
             'surprise party!"', "standing"),
    ),
    (
        Beat("First {name} [baked|made] {a_thing}. {thing_line}", "standing", props=("thing",)),
        Beat('{then} {he} ran {to_place} to tell everyone. "Psst! It is a secret!"', "running",
             place="next"),
        Beat("{name} still needed {a_second}. {He} found one {at_place}.", "walking",
             props=("second",), place="next"),
        Beat('The guests came, one by one, on tiptoe. "Quiet," said {name}, and waved them in.',
             "waving", guests=("walking", "walking"), place="home"),
        Beat("{then} everything was ready. {name} sat down by the {thing} and waited. {air}",
             "sitting", props=("thing",), time="later", place="home"),
        Beat('"Is somebody coming?" {name} stood as still as a stone.', "standing", place="home"),
    ),
    (
        Beat('{then} {f_name} the {f_look} came in. "Surprise!" everybody cheered.', "cheering",
             "jumping", ("cheering",), props=("thing",), place="home"),
        Beat('"Happy birthday, {f_name}!" they all cheered, and {f_name} the {f_look} waved to '
             "everyone.", "cheering", "waving", ("cheering", "cheering"), props=("thing",),
             place="home"),
    ),
    (
        "They danced until the last guest fell asleep.",
        '"It is the best birthday ever," said {f_name}. And it was.',
    ),
    friend=True,
    things=("cake",),
    seconds=("balloon", "drum", "lantern", "basket", "teapot"),
)

SHARING = Plot(
    "sharing",
    (
        "learns to share",
        "does not want to share {his} {thing}",
        "learns to share {his} {thing}",
    ),
    (
        Beat("{intro}{name} had {a_thing}, and {he} did not want to share it with anyone. "
             "{thing_line}", "sitting", props=("thing",)),
    ),
    (
        Beat("{name} carried the {thing} {to_place}, where nobody would ask for it. {line}",
             "walking", props=("thing",), place="next"),
        Beat('But {at_place} {he} met {f_name}, {a_f_look}. "What a lovely {thing}!" said '
             '{f_name}. "It is mine," said {name}.', "standing", "waving", props=("thing",),
             gives="friend"),
        Beat("So {name} ran away with the {thing}, {to_place}. {line}", "running", props=("thing",),
             place="next"),
        Beat("{then} {name} sat there by {himself}. {A_thing} is not much fun all alone.",
             "sitting", props=("thing",), time="later"),
        Beat("{air} {name} thought, and thought again. {He} felt a little ashamed.", "standing",
             props=("thing",)),
        Beat('Then {he} jumped up. "I know what to do!" said {name}.', "jumping", props=("thing",)),
    ),
    (
        Beat('"Will you share it with me?" {name} asked {f_name} the {f_look}. They sat down '
             "together with the {thing} between them.", "sitting", "sitting", props=("thing",)),
        Beat('"It is ours now," said {name} to {f_name} the {f_look}. And they both cheered.',
             "cheering", "cheering", props=("thing",)),
    ),
    (
        "Half is more than whole, thought {name}, when you share it.",
        "And everything {name} had was twice as nice.",
    ),
    friend=True,
    things=SHARED,
)

HIDING = Plot(
    "hide and seek",
    (
        "plays hide and seek",
        "plays hide and seek with {a_f_kind}",
        "plays hide-and-seek",
    ),
    (
        Beat('{intro}{one_time}, {name} played hide and seek with {f_name} the {f_look}. "You '
             'count!" said {f_name}.', "standing", "cheering", gives="friend"),
        Beat('{intro}"Eight, nine, ten! Here I come!" called {name} {at_place}. {line}',
             "standing"),
    ),
    (
        Beat("{name} walked up and down {at_place}. {line} Nobody there!", "walking", place="next"),
        Beat('"I can hear you!" called {name} and ran {to_place}. But it was only the wind.',
             "running", place="next"),
        Beat("Was there somebody behind {a_thing}? No, nobody.", "standing", props=("thing",)),
        Beat('{then} {name} sat down. "I give up!" {he} said. "Almost."', "sitting"),
        Beat("{At_place}, {name} jumped up high to see farther. {line}", "jumping", place="next"),
        Beat("{then} it was so late that {name} began to worry. {air}", "walking", time="late"),
    ),
    (
        Beat("And there, {at_place}, was {f_name} the {f_look}, fast asleep! {name} had to "
             'laugh. "Found you!"', "cheering", "sleeping", place="next"),
        Beat('"Found you!" cried {name}. {f_name} the {f_look} jumped up with a squeak.',
             "cheering", "jumping", place="next"),
    ),
    (
        '"Now it is your turn to count," said {name}.',
        "It was the best hiding place ever.",
    ),
    friend=True,
    things=("basket", "drum", "umbrella", "boat"),
)

HELPING = Plot(
    "helping",
    (
        "helps {a_f_kind} find the way home",
        "helps {a_f_kind}",
        "helps a friend",
    ),
    (
        Beat('{intro}{one_time}, {at_place}, {he} found {f_name}, {a_f_look}. "I have lost my '
             'way," said {f_name}.', "standing", "sitting"),
    ),
    (
        Beat('"Do not worry," said {name}. "I will take you home." {f_name} jumped for joy.',
             "standing", "jumping"),
        Beat('They walked {to_place}. {line} "Is this your home?" "No," said {f_name}.', "walking",
             "walking", place="next"),
        Beat('They went on {to_place}. {line} "Is it here?" "Not yet," said {f_name}.', "walking",
             "walking", place="next", time="later"),
        Beat("{then} they rested for a while and shared {a_thing}.", "sitting", "sitting",
             props=("thing",)),
        Beat('{then} it began to rain. "Quick!" said {name}, and they ran.', "running", "running",
             weather="rain"),
        Beat('"Look!" {f_name} jumped up. "I know this place!" {line}', "standing", "jumping",
             place="next"),
    ),
    (
        Beat('{At_place}, {f_name} cheered. "I am home! Thank you, {name}!"', "waving", "cheering",
             place="next"),
        Beat("{then} they were there. {f_name} waved from {f_his} own front door, {at_place}.",
             "waving", "waving", place="next", time="later"),
    ),
    (
        "And {name} knew the way to a new friend's house.",
        "Helping makes you feel warm inside, thought {name}.",
    ),
    friend=True,
    things=("apple", "cake", "mushroom"),
)

WAKING = Plot(
    "waking a sleepyhead",
    (
        "tries to wake {a_f_kind}",
        "tries to wake {his} sleepy friend",
        "wants to wake a friend",
    ),
    (
        Beat("{intro}{one_time}, {name} wanted to play. But {f_name} the {f_look} was fast "
             "asleep.", "standing", "sleeping"),
    ),
    (
        Beat('"Wake up!" called {name} and waved. {f_name} only snored.', "waving", "sleeping"),
        Beat("{name} jumped up and down. Thump, thump, thump! {f_name} slept on.", "jumping",
             "sleeping"),
        Beat("{then} {name} brought {a_thing}. Boom, boom, boom! {f_name} turned over and "
             "smiled.", "cheering", "sleeping", props=("thing",)),
        Beat("{name} ran around {f_name}, once, twice, three times. {air}", "running", "sleeping"),
        Beat("{then} {name} was tired, too. {He} sat down beside {f_name}.", "sitting", "sleeping",
             time="later"),
        Beat("{then} it began to rain, right on {f_name}'s nose. {f_name} slept on.", "standing",
             "sleeping", weather="rain"),
    ),
    (
        Beat('{name} yawned, lay down and fell asleep. And who woke up? {f_name}! "Time to '
             'play!"', "sleeping", "standing"),
        Beat('{then} {name} brought {a_second}. {f_name} sniffed, and jumped up at once. "Is '
             'that for me?"', "cheering", "jumping", props=("second",)),
    ),
    (
        "Some friends need a little longer to wake up.",
        "And when both were awake at last, they played and played.",
    ),
    friend=True,
    things=("drum",),
    seconds=("cake", "apple", "teapot"),
)
# fmt: on

FRIENDSHIPS = (MAKING, GIFT, RACE, PARTY, SHARING, HIDING, HELPING, WAKING)
