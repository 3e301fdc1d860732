"""Engines: compiled components behind one small interface; backends are imported on use."""

from __future__ import annotations

from runtime.engines.base import Engine, Engines
from runtime.engines.choice import DEVICES, Choice, DeviceReport
from runtime.engines.registry import check_device, choose_device, open_engines

__all__ = [
    "DEVICES",
    "Choice",
    "DeviceReport",
    "Engine",
    "Engines",
    "check_device",
    "choose_device",
    "open_engines",
]
