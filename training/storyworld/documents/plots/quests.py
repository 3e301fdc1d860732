"""Plots about things: found, lost, opened, brought home; and journeys."""

from __future__ import annotations

from training.storyworld.documents.plots.plot import Plot
from training.storyworld.documents.teller import Beat

# A beat is laid out as a sentence of the story.
# fmt: off
FINDING = Plot(
    "finding",
    ("finds {a_thing}", "finds {a_thing}", "discovers {a_thing}", "comes across {a_thing}"),
    (
        Beat("{intro}{one_time}, {name} went for a walk {at_place}. {line}", "walking"),
        Beat("{intro}{one_time}, {he} was strolling {at_place}, humming a little tune. {air}",
             "walking"),
        Beat("{intro}{one_time}, {at_place}, {he} stopped in surprise. There, right in front of "
             "{him}, was {a_thing}! {thing_line}", "standing", props=("thing",), gives="thing"),
    ),
    (
        Beat("{then} {he} stopped and stared. Right [there in front of {him}|at {his} feet] was "
             "{a_thing}! {thing_line}", "standing", props=("thing",), gives="thing",
             unless="thing"),
        Beat('"Somebody must be missing this {thing}," said {name}, and {he} carried it '
             "{to_place}. {line}", "walking", props=("thing",), place="next", needs=("thing",)),
        Beat('{then} {he} met {f_name}, {a_f_look}. "Is this {thing} yours?" asked {name}. '
             '"No," said {f_name}, "but I will help you ask around."', "standing", "waving",
             props=("thing",), needs=("thing",), gives="friend"),
        Beat("{then} the two of them walked {to_place}. {line}", "walking", "walking",
             props=("thing",), place="next", time="later", needs=("thing", "friend")),
        Beat("They asked everyone, but nobody had lost {a_thing}. So they sat down beside it to "
             "think. {air}", "sitting", "sitting", props=("thing",), needs=("thing", "friend")),
        Beat("All that wondering had made {name} tired. {He} sat down next to the {thing}. {air}",
             "sitting", props=("thing",), needs=("thing",)),
        Beat("{then} {name} had an idea. What if the {thing} belonged to whoever found it? {He} "
             "jumped right up.", "jumping", props=("thing",), needs=("thing",)),
    ),
    (
        Beat("{then} {name} understood: the {thing} had been waiting for {him} all along. "
             '["Hooray!" {he} cried.|{He} cheered with all {his} might.]', "cheering",
             props=("thing",), needs=("thing",)),
        Beat('"Let us keep it together," said {name}. {f_name} cheered, and so did {he}.',
             "cheering", "cheering", props=("thing",), needs=("thing", "friend")),
        Beat("{then} {name} curled up beside the {thing} and fell asleep, [tired and happy|with "
             "a smile on {his} face].", "sleeping", props=("thing",), time="night",
             needs=("thing",)),
    ),
    (
        "And from that day on, {name} took very good care of it.",
        "Some treasures are found just when you need them.",
        "What a find, thought {name}. What a day!",
    ),
)

LOST = Plot(
    "lost and found",
    (
        "loses {his} {thing}",
        "looks for {his} lost {thing}",
        "cannot find {his} {thing}",
        "has lost {his} {thing}",
    ),
    (
        Beat("{intro}More than anything, {he} loved {his} {thing}. {thing_line}", "standing",
             props=("thing",)),
        Beat("{intro}{His} favourite thing in the whole world was {his} {thing}. {line}", "sitting",
             props=("thing",)),
        Beat("{intro}{one_time}, {he} could not find {his} favourite thing in the whole world. "
             "{He} looked here, and {he} looked there, but it was gone.", "standing", gives="lost"),
    ),
    (
        Beat("{then} {name} turned around, and it was gone! {He} sat down and thought hard. "
             "Where had {he} seen it last?", "sitting", gives="lost", unless="lost"),
        Beat("{name} ran {to_place} to look there. {line} But {he} could not find it.", "running",
             place="next", needs=("lost",)),
        Beat('{then} {he} met {f_name}, {a_f_look}. "I have not seen it," said {f_name}, "but '
             'four eyes see more than two."', "standing", "waving", needs=("lost",),
             gives="friend"),
        Beat("Together they searched {at_place}. {line} [Nothing!|Not a trace!]", "walking",
             "walking", place="next", needs=("friend",)),
        Beat("{then} it began to rain, and {name} walked on [all the same|with a heavy heart].",
             "walking", weather="rain", needs=("lost",)),
        Beat('{name} was close to tears. "Do not give up," said {f_name}. "Let us try once '
             'more."', "sitting", "standing", needs=("friend",)),
        Beat("{then} {name} stood still {at_place} and thought. Where had {he} forgotten to look?",
             "standing", place="next", time="later", needs=("lost",)),
    ),
    (
        Beat("And there it was, {at_place}, just where {name} had left it: the {thing}! "
             '["Hooray!" {he} cried.|{He} cheered with all {his} might.]', "cheering",
             props=("thing",), place="home", needs=("lost",)),
        Beat("{then} {name} saw it, {at_place}, [half hidden|in plain sight]: the {thing}! {He} "
             "jumped for joy.", "jumping", props=("thing",), place="home", needs=("lost",)),
    ),
    (
        "After that, {name} always kept it close.",
        "{name} hugged it tight. It was so good to have it back.",
        "And {name} never lost it again. Well, almost never.",
    ),
)

KEY = Plot(
    "the key",
    ("finds a key", "finds an old key", "wants to know what a key opens"),
    (
        Beat('{intro}{one_time}, {at_place}, {he} found an old key. "I wonder what it opens," '
             "said {name}.", "standing", props=("thing",)),
    ),
    (
        Beat("{He} took the key {to_place} and tried every door. {line} But the key did not fit.",
             "walking", props=("thing",), place="village"),
        Beat("{He} carried it {to_place} and looked for a lock. {line}", "walking",
             props=("thing",), place="garden"),
        Beat('{then} {name} met {f_name}, {a_f_look}. "Try the great gate," said {f_name}. "I '
             'will show you the way."', "standing", "waving", props=("thing",), gives="friend"),
        Beat("{then} the two of them walked side by side {at_place}. {line}", "walking", "walking",
             props=("thing",), place="next", needs=("friend",)),
        Beat("{then} they had to rest their feet. {air}", "sitting", "sitting", props=("thing",),
             time="later", needs=("friend",)),
        Beat("{name} held on tight to the key and ran on. {line}", "running", props=("thing",),
             place="mountains"),
    ),
    (
        Beat("{then} {name} was {at_place}. {He} put the key into the lock, and click! The gate "
             'swung open. "Hooray!"', "cheering", props=("thing",), place="castle"),
        Beat("{At_place}, the key turned at last. Behind the gate was {a_second}, just for "
             "{him}! {name} jumped for joy.", "jumping", props=("thing", "second"), place="castle"),
    ),
    (
        "Every key fits somewhere, {name} thought. You only have to keep trying.",
        "And {name} kept the key forever.",
    ),
    things=("key",),
    seconds=("book", "cake", "teapot", "drum", "lantern"),
    places=("forest", "meadow", "beach", "lake"),
)

STAR = Plot(
    "the fallen star",
    ("finds a fallen star", "helps a star get home", "finds a star"),
    (
        Beat("{intro}{one_time}, a star fell from the sky and landed {at_place}, right in front "
             "of {him}.", "standing", props=("thing",)),
    ),
    (
        Beat('"Are you lost, little star?" asked {name}, and {he} sat down beside it. It '
             "glowed, ever so softly.", "sitting", props=("thing",)),
        Beat('"Do not worry. I will take you home," said {name}. {He} carried the star '
             "{to_place}. {line}", "walking", props=("thing",), place="next"),
        Beat('{then} {he} met {f_name}, {a_f_look}, who could not sleep. "May I come, too?" '
             "asked {f_name}.", "standing", "waving", props=("thing",), gives="friend"),
        Beat("On they went, with the star to light their way. {line}", "walking", "walking",
             props=("thing",), place="next", needs=("friend",)),
        Beat("{name} jumped as high as {he} could, but the sky was still too far away.", "jumping",
             props=("thing",)),
        Beat('{then} clouds rolled in, and only the star was shining. "Not far now," said '
             "{name}.", "walking", props=("thing",), weather="cloudy"),
    ),
    (
        Beat('High {at_place}, {name} lifted the star. "Up you go!" It blinked once, to say '
             "thank you.", "cheering", props=("thing",), place="mountains", weather="clear"),
        Beat("{At_place}, close to the sky, {name} waved goodbye to the star.", "waving",
             props=("thing",), place="mountains", weather="clear"),
    ),
    (
        "And if you look up tonight, you may see it blink at {name}.",
        "That night, {name} slept under the brightest light in the sky.",
    ),
    things=("star",),
    places=("forest", "meadow", "lake", "village", "garden"),
    times=("night",),
    weathers=("clear",),
    drift=False,
)

JOURNEY = Plot(
    "journey",
    (
        "wants to see the world",
        "goes on a long journey",
        "sets out to see the world",
        "goes on an adventure",
    ),
    (
        Beat('{intro}{He} had lived {at_place} all {his} life. "I want to see the world!" said '
             "{name}, and {he} set off.", "walking"),
        Beat("{intro}{one_time}, {name} waved goodbye to everything {he} knew {at_place}. {air}",
             "waving"),
    ),
    (
        Beat("First {he} came {to_place}. {must_line} {name} had never seen anything like it.",
             "standing", place="next"),
        Beat("{then} {he} went on {to_place}. {must_line}", "walking", place="next"),
        Beat("{then} {name} ran {to_place}. {must_line}", "running", place="next", time="later"),
        Beat('{At_place}, {he} met {f_name}, {a_f_look}. "Welcome!" called {f_name}, and showed '
             "{him} around.", "standing", "waving", place="next"),
        Beat("{then} {name} sat down to rest {at_place}. {must_line}", "sitting", place="next",
             time="later"),
        Beat("{At_place}, {name} found {a_thing} to remember it by. {thing_line}", "standing",
             props=("thing",), place="next"),
        Beat("{then} {name} came {to_place} and jumped with delight. {must_line}", "jumping",
             place="next"),
    ),
    (
        Beat("{then} {name} came home again. {At_place}, everything was just as {he} had left "
             'it. "I am back!" {he} cheered.', "cheering", place="home", time="later"),
        Beat("{then} {name} was back {at_place}. {He} fell asleep at once and dreamed of all "
             "{he} had seen.", "sleeping", place="home", time="night"),
    ),
    (
        "The world is big and beautiful, thought {name}, and home is the best place in it.",
        "And soon {name} began to plan the next journey.",
    ),
)

BOAT = Plot(
    "the boat",
    ("wants to sail a boat", "dreams of sailing", "has a little boat"),
    (
        Beat("{intro}{He} had a little boat, and {he} dreamed of sailing far away. {line}",
             "standing", props=("thing",)),
    ),
    (
        Beat("{name} looked the boat over from end to end. Was it ready? It was!", "walking",
             props=("thing",)),
        Beat('{then} {f_name}, {a_f_look}, came by. "May I sail with you?" "Climb in," said '
             "{name}.", "waving", "standing", props=("thing",), gives="friend"),
        Beat("The boat rocked up and down, and {name} laughed. {air}", "sitting", props=("thing",)),
        Beat('"Left! Right! Left!" they sang together in the boat. {line}', "cheering", "cheering",
             props=("thing",), needs=("friend",)),
        Beat('{then} it began to rain. "Sailors do not mind a little rain," said {name}.',
             "sitting", props=("thing",), weather="rain"),
        Beat('{then} {name} jumped up. {must_air} "I can see the shore!"', "jumping",
             props=("thing",), weather="clear", time="later"),
    ),
    (
        Beat('{then} the boat came to rest {at_place}. "We did it!" cheered {name}.', "cheering",
             props=("thing",), time="later"),
        Beat("{then} {name} fell asleep next to {his} boat, and dreamed of far-away shores.",
             "sleeping", props=("thing",), time="night"),
    ),
    (
        "And in {his} dreams, Captain {name} sailed on.",
        "Tomorrow, Captain {name} would sail even farther.",
    ),
    things=("boat",),
    places=("lake", "beach"),
)
# fmt: on

QUESTS = (FINDING, LOST, KEY, STAR, JOURNEY, BOAT)
