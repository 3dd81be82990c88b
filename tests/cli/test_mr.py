"""MR values, metals and the bore from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Scene, call_cli

RODS = """schema = "needle-rods/1"
[[rods]]
name = "rods"
start_lps_mm = [-20.0, 30.0, -20.0]
end_lps_mm = [-20.0, 30.0, 24.0]
diameter_mm = 5.5
"""
MR = {
    "field_t": "1.5",
    "bandwidth_hz_per_px": "250",
    "readout_pixel_mm": "1.0",
    "readout": "row",
    "slice_axis": "slice",
    "slice_thickness_mm": "4",
    "acquisition": "2D",
    "sequence": "TSE",
}


def mr_options(**changes: str) -> list[str]:
    values = {**MR, **changes}
    return [part for key, value in values.items() for part in ("--mr", f"{key}={value}")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mr")
    (folder / "rods.toml").write_text(RODS, encoding="utf-8")
    return folder


def with_rods(scene: Scene, *more: object) -> list[object]:
    return [*scene.plan("--structures", "rods.toml", "--no-figures", "--json", "--top", 2), *more]


@pytest.fixture(scope="module")
def planned(scene: Scene, folder: Path):
    arguments = with_rods(
        scene, "--implant", "rods=titanium", *mr_options(), "--bore", "350@0,-10", "--out", "out"
    )
    return call_cli(folder, *arguments)


def test_the_plan_holds_what_was_said(planned) -> None:
    assert planned.code == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["mr"]["bandwidth_hz_per_px"] == 250.0
    assert plan["mr"]["sources"]["bandwidth_hz_per_px"].startswith("user")
    (implant,) = plan["implants"]
    assert implant["name"] == "rods" and implant["shape"] == "rods"
    assert [m["name"] for m in implant["materials"]] == ["titanium"]
    assert plan["bore"]["centre_lp_mm"] == [0.0, -10.0]
    for path in plan["trajectories"]:
        assert path["susceptibility"]["zones_mm"]["void"] == 0.0
        assert path["clearance_mm"]["MR void"] <= path["clearance_mm"]["rods"]
        assert path["bore_room_mm"] > 0
        assert len(path["scan_planes"]) == 3 and path["needle_artefact"]["width_mm"] > 0


def test_it_verifies_from_its_files(planned, scene: Scene, folder: Path) -> None:
    masks = [part for file in scene.masks.values() for part in ("--structures", file)]
    arguments = ["verify", "out/plan.json", "--image", scene.image, *masks]
    done = call_cli(folder, *arguments, "--structures", "rods.toml")
    assert done.code == 0, done.stdout + done.stderr


def test_without_mr_values_nothing_passes(scene: Scene, folder: Path) -> None:
    done = call_cli(folder, *with_rods(scene, "--implant", "rods=titanium"))
    plan = json.loads(done.stdout)
    assert plan["verdict"] == "unknown"
    for path in plan["trajectories"]:
        assert any(f["constraint"] == "mr_unknown" for f in path["findings"])


def test_a_settings_file_says_the_same(planned, scene: Scene, folder: Path) -> None:
    values = "\n".join(f'{key} = "{value}"' for key, value in MR.items())
    text = f'bore = "350@0,-10"\n[mr]\n{values}\n[implants]\nrods = "titanium"\n'
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    done = call_cli(folder, *with_rods(scene, "--config", "plan.toml"))
    one, other = json.loads(planned.stdout), json.loads(done.stdout)
    for key in ("mr", "implants", "bore", "trajectories", "structures"):
        assert one[key] == other[key]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mr", "bandwidth_hz_per_px=fast"], "1 to 10000 Hz"),
        (["--mr", "bandwidth_hz_per_px=nan"], "1 to 10000 Hz"),
        (["--mr", "band=1"], "bandwidth_hz_per_px"),
        (["--mr", "readout=up"], "row, column, slice"),
        (["--mr", "sequence=fancy"], "TSE"),
        (["--implant", "rods=gold leaf"], "cobalt-chrome"),
        (["--implant", "screws=titanium"], "screws"),
    ],
)
def test_bad_values_are_named(cli: Cli, scene: Scene, tmp_path: Path, arguments, says) -> None:
    (tmp_path / "rods.toml").write_text(RODS, encoding="utf-8")
    done = cli(*with_rods(scene), *arguments)
    assert done.code == 3
    assert len(done.errors) == 1 and says in done.stderr
    assert "Traceback" not in done.stderr
