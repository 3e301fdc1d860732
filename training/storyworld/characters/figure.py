"""Puts a figure together: skeleton, torso with markings, limbs, head, and what it wears."""

from __future__ import annotations

from math import cos, radians, sin

from training.storyworld.canvas import Pen, ellipse, polygon
from training.storyworld.characters import accessories
from training.storyworld.characters.faces import Mood
from training.storyworld.characters.kinds import KINDS, Kind
from training.storyworld.characters.markings import draw_markings, marking_color
from training.storyworld.characters.palette import Tint, tint
from training.storyworld.characters.pose import (
    ARM,
    FOOT,
    POSES,
    SHIN,
    THIGH,
    Pose,
    limb,
    pelvis_height,
)
from training.storyworld.characters.shapes import block, pear, spikes, tube
from training.storyworld.scene import COLORS, Character

NECK = -0.275
LYING_SCALE = 0.87
TORSO_TOP, TORSO_BOTTOM, TORSO_WIDEST = -0.33, 0.09, -0.05


def draw_figure(pen: Pen, character: Character) -> None:
    """One character in the frame described by the package."""
    kind, pose = KINDS[character.kind], POSES[character.action]
    tints = tint(character.color, marking_color(character.color, character.markings.hue))
    with pen.at(scale=LYING_SCALE if pose.lying else 1.0):
        _shadow(pen, pose)
        if pose.dust:
            _dust(pen)
        with pen.at(pose.shift, pelvis_height(pose)):
            _behind(pen, character, kind, pose, tints)
            _body(pen, character, kind, pose, tints)
            _head(pen, character, kind, pose, tints)
        if pose.lying:
            _snore(pen)


def _worn(character: Character) -> tuple[str, str]:
    worn = character.accessory
    return (worn.kind, COLORS[worn.color]) if worn else ("", "#000000")


def _behind(pen: Pen, character: Character, kind: Kind, pose: Pose, tints: Tint) -> None:
    hem = 0.045 if pose.sits else 0.1
    sway = 0.0 if pose.lying else 0.9 * max(pose.tail, 0.0)
    spread = 0.0 if pose.lying or pose.dust else 0.17
    with pen.at(turn=pose.lean), pen.at(0, NECK, turn=sway), pen.at(0, -NECK):
        accessories.behind(pen, *_worn(character), kind.torso, NECK, hem, spread)
    rump = (-0.03, 0.06) if pose.lying else (-kind.torso + 0.06, 0.0)
    with pen.at(*rump, turn=pose.tail):
        block(pen, kind.tail(tints))
    with pen.at(turn=pose.lean):
        if kind.spines:
            fan = spikes(-0.03, -0.09, kind.torso, 0.19, 95, 268, 9, 0.3)
            block(pen, [(fan, tints.deep)])
        _arm(pen, kind, (kind.torso - 0.06, NECK + 0.075), pose.front_arm, tints, pose)


def _body(pen: Pen, character: Character, kind: Kind, pose: Pose, tints: Tint) -> None:
    torso = pear(kind.torso, TORSO_TOP, TORSO_BOTTOM, TORSO_WIDEST, 0.62)
    if not pose.sits:
        _legs(pen, kind, pose, tints)
    with pen.at(turn=pose.lean):
        block(pen, [(torso, tints.base)])
        draw_markings(pen, torso, character.markings, tints.mark)
        with pen.clip(torso):
            chin = ellipse(0.02, NECK - 0.005 - 0.6 * kind.halo, 0.21, 0.09)
            pen.fill(chin, tints.deep, alpha=0.55, outline=False)
        if not pose.lying:
            _arm(pen, kind, (-kind.torso + 0.06, NECK + 0.075), pose.back_arm, tints, pose)
        accessories.on_torso(pen, *_worn(character), kind.torso, NECK, pose.lean)
    if pose.sits:
        _legs(pen, kind, pose, tints)


def _legs(pen: Pen, kind: Kind, pose: Pose, tints: Tint) -> None:
    sides = ((0.09, pose.front_leg, pose.front_foot), (-0.09, pose.back_leg, pose.back_foot))
    for x, angles, foot in sides:
        joints = limb((x, 0.0), angles, THIGH, SHIN)
        skin = kind.feet or tints.shade
        leg = tube(joints, 0.034 if kind.feet else 0.052)
        end, ground = joints[2]
        if pose.sits:
            sole = ellipse(end, ground - 0.01, 0.06, 0.072, 12)
            block(pen, [(leg, tints.shade), (sole, skin)])
            pad = ellipse(end + 0.004, ground, 0.034, 0.042, 12)
            pen.fill(pad, tints.pale, outline=False)
        else:
            toe = ellipse(end + 0.025, ground, 0.088, FOOT, foot)
            block(pen, [(leg, tints.shade), (toe, skin)])


def _arm(
    pen: Pen, kind: Kind, shoulder: tuple[float, float], angles: tuple[float, float],
    tints: Tint, pose: Pose,
) -> None:  # fmt: skip
    raised = abs(angles[1]) > 150 and not pose.lying
    bone = ARM * (pose.reach if raised else 1.0)
    joints = limb(shoulder, angles, bone, bone)
    block(pen, [(tube(joints, kind.arm * (1.3 if kind.wings else 1.0)), tints.shade)])


def _head(pen: Pen, character: Character, kind: Kind, pose: Pose, tints: Tint) -> None:
    rx, ry = kind.head
    worn, color = _worn(character)
    mood = Mood(pose.lying, pose.open_mouth)
    if pose.lying:
        with pen.at(turn=pose.lean):
            accessories.at_neck(pen, worn, color, NECK)
        x, y = 0.71 - rx - kind.halo, -pelvis_height(pose) - 0.97 * ry - kind.halo
    else:
        up = -NECK + ry - 0.06 + kind.halo
        x, y = up * sin(radians(pose.lean)), -up * cos(radians(pose.lean))
    with pen.at(x, y, turn=pose.tilt):
        skull = pear(rx, -ry, ry, kind.jowl, 0.62)
        block(pen, [*kind.ears(tints, rx, ry), (skull, tints.base)], tints.base)
        kind.face(pen, tints, mood, rx, ry)
        accessories.on_head(pen, worn, color, rx, ry, kind.hat)
    if not pose.lying:
        with pen.at(turn=pose.lean):
            accessories.at_neck(pen, worn, color, NECK)
            if pose.reach > 1:
                _arm(pen, kind, (kind.torso - 0.06, NECK + 0.075), pose.front_arm, tints, pose)
            if pose.reach > 1 and not pose.greeting:
                _arm(pen, kind, (-kind.torso + 0.06, NECK + 0.075), pose.back_arm, tints, pose)


def _shadow(pen: Pen, pose: Pose) -> None:
    wide = 0.42 if pose.lying else 0.2 if pose.lift > 0.1 else 0.28
    pen.fill(ellipse(0.0, 0.0, wide, 0.032), "#2B2733", alpha=0.2, outline=False)


def _dust(pen: Pen) -> None:
    for x, y, r in ((-0.4, -0.05, 0.05), (-0.33, -0.1, 0.035), (-0.31, -0.03, 0.04)):
        pen.fill(ellipse(x, y, r, r), "#FFFFFF", alpha=0.75, outline=False)


def _snore(pen: Pen) -> None:
    for x, y, s in ((0.31, -0.74, 0.06), (0.41, -0.91, 0.085)):
        z = polygon(
            [(x - s, y - s), (x + s, y - s), (x + s, y - 0.5 * s), (x - 0.25 * s, y + 0.5 * s),
             (x + s, y + 0.5 * s), (x + s, y + s), (x - s, y + s), (x - s, y + 0.5 * s),
             (x + 0.25 * s, y - 0.5 * s), (x - s, y - 0.5 * s)]
        )  # fmt: skip
        pen.stroke(z, "#FFFFFF", 0.035)
        pen.fill(z, "#4A4E78", outline=False)
