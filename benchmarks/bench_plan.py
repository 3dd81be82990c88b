"""Masks to plan, moved target, growth with candidates, cold start, memory, command line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.scene import make_scene
from benchmarks.table import Row, print_table, seconds

NEEDLE = "18G-200"
OPTIONS = {
    "procedure": "soft_tissue_biopsy",
    "needle": NEEDLE,
    "throw_mm": 0.0,
    "table_side": "none",
}


def run() -> list[Row]:
    import planner

    scene = make_scene()

    def cold():
        session = planner.PlanningSession(scene.volume, scene.structures, **OPTIONS)
        return session, session.plan(scene.target_lps_mm)

    masks_to_plan = seconds(cold, 3)
    session, result = cold()
    n = len(result.candidates)
    moves = iter(np.random.default_rng(0).uniform(-6, 6, (100, 3)))
    again = seconds(lambda: session.plan(scene.target_lps_mm + next(moves)), 7)
    return [
        Row(
            "plan",
            f"cold: masks to ranked plan, {n} entries",
            f"{masks_to_plan:.2f} s",
            "",
            "<= 1 s",
            masks_to_plan <= 1.0,
        ),
        Row(
            "plan",
            f"moved target, {n} entries, 4 structures",
            f"{again * 1e3:.0f} ms",
            "",
            "",
            None,
        ),
        Row(
            "plan",
            "the same for 200,000 entries, in proportion",
            f"{again / n * 2e8:.0f} ms",
            "",
            "<= 100 ms",
            again / n * 2e5 <= 0.1,
        ),
        _region(scene, session),
        *_growth(scene),
        *_separate_processes(),
    ]


def _region(scene, session) -> Row:
    """Tips and entries together: a ball of 8 mm about the target."""
    from planner.geometry import Mask
    from planner.model import TargetRegion

    grid = scene.volume.grid
    places = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1).reshape(-1, 3))
    inside = np.linalg.norm(places - scene.target_lps_mm, axis=1) <= 8.0
    mask = Mask(grid=grid, inside=inside.reshape(grid.shape_kji))
    region = TargetRegion(name="region:ball", mask=mask, centre_lps_mm=scene.target_lps_mm)
    result = session.plan(region=region)
    spent = seconds(lambda: session.plan(region=region), 3)
    n = len(result.candidates)
    n_tips = len(np.unique(result.candidates.tip_lps_mm, axis=0))
    return Row(
        "plan",
        f"region: {n:,} pairs of entry and tip, {n_tips} tips, 4 structures",
        f"{spent * 1e3:.0f} ms, {n / spent / 1e6:.2f} M pairs/s",
        "",
        ">= 1 M pairs/s",
        n / spent >= 1e6,
    )


def _growth(scene) -> list[Row]:
    """Tracing time for 10 k, 100 k and 1 M candidates: per candidate it should not rise."""
    from benchmarks.bench_search import CLEAR_MM, STRUCTURE
    from planner.geometry.distance import distance_field
    from planner.geometry.trace import SHARE_MM, TraceTarget

    mask = scene.obstacle(STRUCTURE)
    target = TraceTarget(mask, distance_field(mask, CLEAR_MM + SHARE_MM))
    return [_traced(scene, target, mask, count) for count in (10_000, 100_000, 1_000_000)]


def _traced(scene, target, mask, count: int) -> Row:
    from benchmarks.bench_search import CLEAR_MM, REQUIRED_MM, paths

    entry = np.ascontiguousarray(mask.grid.to_axes_mm(paths(scene, count)))
    tip = np.broadcast_to(mask.grid.to_axes_mm(scene.target_lps_mm), entry.shape).copy()
    everyone = np.arange(count)
    took = seconds(lambda: target.trace(tip, entry, REQUIRED_MM, CLEAR_MM, everyone), 3)
    return Row(
        "growth",
        f"{count:,} candidates, one structure",
        f"{took * 1e3:.1f} ms",
        f"{took / count * 1e9:.0f} ns each",
    )


_PLAN = (
    "import resource, time, numpy as np\n"
    "from benchmarks.scene import make_scene\n"
    "scene = make_scene()\n"
    "start = time.perf_counter()\n"
    "import planner\n"
    "result = planner.plan(scene.volume, scene.target_lps_mm, structures=scene.structures,"
    f" **{OPTIONS!r})\n"
    "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
)


def _separate_processes() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in (
            "first run ever (kernels compiled)",
            "first run of a process (kernels cached)",
        ):
            env = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(Path.cwd())}
            done = subprocess.run(
                [sys.executable, "-c", _PLAN], env=env, capture_output=True, text=True, check=True
            )
            took, memory_gb = map(float, done.stdout.split())
            rows.append(Row("process", f"imports and plan, {name}", f"{took:.1f} s"))
    rows.append(
        Row(
            "process",
            "peak memory of that process, scene included",
            f"{memory_gb:.2f} GB",
            "",
            "<= 1.5 GB",
            memory_gb <= 1.5,
        )
    )

    def show_help() -> None:
        subprocess.run([sys.executable, "-m", "planner", "--help"], capture_output=True, check=True)

    took = seconds(show_help, 5)
    rows.append(
        Row("process", "needle-planner --help", f"{took:.2f} s", "", "<= 0.5 s", took <= 0.5)
    )
    return rows


if __name__ == "__main__":
    print_table(run())
