"""The plots of the stories; a new plot is one more entry of a tuple here."""

from __future__ import annotations

from training.storyworld.documents.plots.days import DAYS
from training.storyworld.documents.plots.friends import FRIENDSHIPS
from training.storyworld.documents.plots.interludes import INTERLUDES
from training.storyworld.documents.plots.plot import Plot
from training.storyworld.documents.plots.quests import QUESTS

PLOTS: tuple[Plot, ...] = QUESTS + FRIENDSHIPS + DAYS

__all__ = ["INTERLUDES", "PLOTS", "Plot"]
