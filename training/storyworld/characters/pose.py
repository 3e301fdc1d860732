"""The skeleton all kinds share: one `Pose` of joint angles per action.

Angles are in degrees, 0 hangs straight down and positive swings forward (to the right, where the
figure looks). An arm or a leg has an upper and a lower part. The pelvis height follows from the
lowest foot, so feet always touch the ground unless `lift` raises the figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

Point = tuple[float, float]

ARM = 0.125
THIGH = 0.075
SHIN = 0.075
FOOT = 0.048


@dataclass(frozen=True)
class Pose:
    """One action. `back` limbs are at the left of the picture, `front` limbs at the right."""

    back_arm: tuple[float, float] = (-42.0, -12.0)
    front_arm: tuple[float, float] = (42.0, 12.0)
    back_leg: tuple[float, float] = (-4.0, 0.0)
    front_leg: tuple[float, float] = (4.0, 0.0)
    back_foot: float = 0.0
    front_foot: float = 0.0
    lean: float = 0.0
    tilt: float = 0.0
    lift: float = 0.0
    tail: float = 0.0
    shift: float = 0.0
    reach: float = 1.0
    seat: float | None = None
    lying: bool = False
    open_mouth: bool = False
    dust: bool = False
    greeting: bool = False

    @property
    def sits(self) -> bool:
        return self.seat is not None and not self.lying


POSES = {
    "standing": Pose(),
    "walking": Pose(
        back_arm=(-58, -38), front_arm=(52, 74), back_leg=(-48, -58), front_leg=(44, 30),
        back_foot=34, front_foot=-20, lean=3, tail=6,
    ),
    "running": Pose(
        back_arm=(-78, -104), front_arm=(72, 122), back_leg=(-66, -100), front_leg=(82, 48),
        back_foot=78, front_foot=-28, lean=17, tilt=8, lift=0.05, tail=28, shift=-0.02, dust=True,
    ),
    "jumping": Pose(
        back_arm=(-98, -122), front_arm=(98, 122), back_leg=(-62, -40), front_leg=(62, 40),
        back_foot=24, front_foot=-24, lift=0.15, tail=14, open_mouth=True,
    ),
    "sitting": Pose(
        back_arm=(-44, -24), front_arm=(40, 62), back_leg=(46, 82), front_leg=(80, 92),
        back_foot=-72, front_foot=-72, lean=-7, tilt=-3, seat=-0.1, tail=-14, shift=-0.04,
    ),
    "waving": Pose(
        front_arm=(112, 163), tilt=-6, tail=4, reach=1.4, greeting=True,
    ),
    "sleeping": Pose(
        front_arm=(140, 158), back_leg=(60, 84), front_leg=(66, 88),
        back_foot=-10, front_foot=-10, lean=76, tilt=14, seat=-0.2, shift=-0.27, lying=True,
    ),
    "cheering": Pose(
        back_arm=(-114, -163), front_arm=(114, 163), back_leg=(-20, -12), front_leg=(20, 12),
        tilt=-3, tail=10, reach=1.4, open_mouth=True,
    ),
}  # fmt: skip


def joint(start: Point, angle: float, length: float) -> Point:
    """Where a bone of `length` ends."""
    return start[0] + length * sin(radians(angle)), start[1] + length * cos(radians(angle))


def limb(start: Point, angles: tuple[float, float], upper: float, lower: float) -> list[Point]:
    """The three joints of a limb."""
    middle = joint(start, angles[0], upper)
    return [start, middle, joint(middle, angles[1], lower)]


def pelvis_height(pose: Pose) -> float:
    """The pelvis' y with the lowest foot on the ground, raised by `lift`."""
    if pose.seat is not None:
        return pose.seat
    lowest = max(
        limb((0.0, 0.0), leg, THIGH, SHIN)[2][1] for leg in (pose.back_leg, pose.front_leg)
    )
    return -(lowest + FOOT) - pose.lift
