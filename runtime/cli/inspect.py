"""`weft inspect`: what a bundle holds, what it needs, and whether its files are right."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.bundle import Bundle, read_bundle
from runtime.engines import DeviceReport, choose_device
from runtime.loading import default_bundle
from runtime.memory import MemoryPlan, plan_memory
from runtime.strict import to_json

MIB = 2**20


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(prog="weft inspect", description="Show and check a bundle.")
    parser.add_argument("bundle", type=Path, nargs="?", help="default: the shipped bundle")
    parser.add_argument("--verify", action="store_true", help="check every file's digest")
    parser.add_argument("--max-tokens", type=int, help="memory for a cache of this size")
    parser.add_argument("--device", default="auto", help="say what would run on it (default: auto)")
    parser.add_argument("--json", action="store_true", help="print everything as the last line")
    arguments = parser.parse_args(argv)
    bundle = read_bundle(arguments.bundle or default_bundle(), verify=arguments.verify)
    memory = plan_memory(bundle.manifest, arguments.max_tokens)
    report = choose_device(bundle, arguments.device, memory.max_tokens)
    print("\n".join([*_lines(bundle, memory, arguments.verify), *report.lines()]))
    if arguments.json:
        print(json.dumps(_result(bundle, memory, arguments.verify, report)))
    return 0


def _result(
    bundle: Bundle, memory: MemoryPlan, verified: bool, report: DeviceReport
) -> dict[str, Any]:
    return {
        "folder": str(bundle.folder),
        "digest": bundle.digest,
        "bytes": sum(file.size for file in bundle.files()),
        "verified": verified,
        "memory": to_json(memory),
        "device": report.to_dict(),
        "manifest": to_json(bundle.manifest),
    }


def _lines(bundle: Bundle, memory: MemoryPlan, verified: bool) -> list[str]:
    manifest = bundle.manifest
    cache, image, schedule = manifest.cache, manifest.image, manifest.schedule
    files = bundle.files()
    total = sum(file.size for file in files)
    width, height = image.default_size
    steps = ", ".join(sorted(schedule.steps, key=int))
    rows = [
        ("model", f"{manifest.model.name} {manifest.model.revision}".strip()),
        ("folder", str(bundle.folder)),
        ("files", f"{len(files)}, {total / MIB:.1f} MiB, "
                  f"digests {'checked' if verified else 'not checked (--verify)'}"),
        ("needs", f"runtime {manifest.requires.runtime}, ABI {manifest.requires.abi}"),
        ("planner", f"{cache.layers} layers, width {cache.width}, {cache.kv_heads} KV heads of "
                    f"{cache.head_dim}, vocabulary {cache.vocab}"),
        ("pictures", f"{width}x{height} by default, {image.max_tokens} tokens of "
                     f"{image.patch}x{image.patch} pixels at most, up to {image.max_aspect:g}:1"),
        ("steps", f"{steps} (default {schedule.default_steps})"),
        ("capacity", f"{memory.max_tokens} tokens, {memory.max_references} references"),
        ("memory", f"{memory.planner_bytes / MIB:.1f} MiB per session, "
                   f"{memory.window_bytes / MIB:.1f} MiB window, "
                   f"up to {memory.reference_bytes / MIB:.1f} MiB kept references"),
    ]  # fmt: skip
    if manifest.license:
        rows.append(("license", manifest.license))
    rows += sorted(manifest.notes.items())
    lines = [f"{name:<9} {text}" for name, text in rows]
    for name, component in sorted(manifest.components.items()):
        for variant in component.variants:
            size = sum(file.size for file in variant.files) / MIB
            parity = "".join(f", {key} {value:.4g}" for key, value in variant.parity.items())
            where = f" {variant.compute_capability}" if variant.compute_capability else ""
            lines.append(
                f"  {name:<11} {variant.engine} {variant.provider}{where} {variant.precision}, "
                f"{size:.1f} MiB{parity}"
            )
    return lines
