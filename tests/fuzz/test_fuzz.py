"""Damaged files of every kind: refused in words, in time, within memory, with nothing left behind.

The seeds of `corpus` are damaged by the steps of `mutators`, drawn by a seeded generator, and
given to a worker process under a limit of memory (`guard`, `worker`).

``NEEDLE_PLANNER_FUZZ_CASES=5000`` makes a long run of so many cases for each seed, and
``NEEDLE_PLANNER_FUZZ_SEED=7`` another one. A file that is taken badly is left in the folder
that the failure names.
"""

from __future__ import annotations

import os
import random
import shutil
import zlib
from pathlib import Path

import pytest

from tests.fuzz.corpus import DEFLATED, PROCEDURE, SERIES, TEXT_MESHES, Seed
from tests.fuzz.guard import LIMIT_S, Guard
from tests.fuzz.mutators import OPERATIONS, Step, mutated

pytest.importorskip("resource", reason="the limit of memory needs a POSIX system")

N_CASES = int(os.environ.get("NEEDLE_PLANNER_FUZZ_CASES", "16"))
SEED = int(os.environ.get("NEEDLE_PLANNER_FUZZ_SEED", "0"))
SHARE_OF_TEXT_MESHES = 0.15
"""Each of these starts a process of its own."""

MESH_LIMIT_S = 20.0
"""The reader gives up on a small mesh after 8 s, and to start it can take long."""

N_STEPS = (1, 1, 1, 2, 4)

KINDS = {
    "classic": SERIES,
    "other_dicom": ("enhanced.dcm", "enhanced_deflated.dcm", "mosaic.dcm"),
    "volumes": (
        *("image.nii", "image2.nii", "image.nii.gz", "image.nrrd", "packed.nrrd", "image.mha"),
        *("packed.mha", "apart.nhdr", "apart.mhd"),
    ),
    "label_maps": (
        *("mask.nii", "mask.nii.gz", "mask.nrrd", "packed_mask.nrrd", "mask.mha"),
        "mask.seg.nrrd",
    ),
    "dicom_masks": (
        *("seg.dcm", "seg_fraction.dcm", "labelmap.dcm", "seg_deflated.dcm"),
        *("rtstruct.dcm", "rtstruct_deflated.dcm"),
    ),
    "meshes": ("ball.stl", *TEXT_MESHES),
    "texts": (
        *("target.mrk.json", "target.fcsv", "names.json", "config.toml"),
        *(PROCEDURE, "plan.json"),
    ),
}
NAMES = tuple(name for names in KINDS.values() for name in names)


def drawn_steps(name: str, n: int, operations: str) -> list[Step]:
    """The damage of one case, the same in every run."""
    numbers = random.Random(zlib.crc32(f"{SEED} {name} {n}".encode()))
    return [
        (numbers.choice(OPERATIONS[operations]), numbers.random(), numbers.getrandbits(32))
        for _ in range(numbers.choice(N_STEPS))
    ]


def placed(seed: Seed, folder: Path) -> Path:
    """The files that must lie beside the damaged one; where it goes itself."""
    folder.mkdir(parents=True, exist_ok=True)
    for neighbour in seed.neighbours:
        shutil.copy(neighbour, folder)
    return folder / seed.file.name


def test_every_seed_is_fuzzed(corpus: dict[str, Seed]) -> None:
    assert sorted(corpus) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_are_good_files(guard: Guard, corpus: dict[str, Seed], name: str) -> None:
    """Else the damage would be told of a file that was refused anyway."""
    seed = corpus[name]
    path = seed.file.parent if seed.is_folder else seed.file
    for action in seed.actions:
        answer = guard.ask(action, path)
        assert answer.fault is None, f"{action}: {answer}"
        assert answer.outcome in ("ok", "exit 0", "exit 1"), f"{action}: {answer}"


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_refused_in_words(
    guard: Guard, corpus: dict[str, Seed], tmp_path: Path, name: str
) -> None:
    seed = corpus[name]
    whole = seed.file.read_bytes()
    file = placed(seed, guard.folder / "cases" / name.replace(".", "_"))
    n_cases = N_CASES
    if name in TEXT_MESHES:
        n_cases = max(2, int(N_CASES * SHARE_OF_TEXT_MESHES))
    for n in range(n_cases):
        steps = drawn_steps(name, n, seed.operations)
        data = mutated(whole, steps, is_gzip=seed.is_gzip, is_deflated=name in DEFLATED)
        file.write_bytes(data)
        for action in seed.actions:
            path = file.parent if seed.is_folder else file
            limit_s = MESH_LIMIT_S if name in TEXT_MESHES else LIMIT_S
            answer = guard.ask(action, path, limit_s=limit_s)
            if answer.fault is not None:
                kept = tmp_path / file.name
                kept.write_bytes(data)
                pytest.fail(
                    f"{action} of a damaged {name} {answer.fault}\ncase {n} of seed {SEED}, "
                    f"steps {steps}\nthe file: {kept}\n{answer.text[-3000:]}"
                )
