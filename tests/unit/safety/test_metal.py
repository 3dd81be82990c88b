"""Metal in the plan: unknown values, brackets of metals, the void, the sweep, the advice."""

from dataclasses import replace

import numpy as np
import pytest

from planner.errors import ConfigError
from planner.geometry import Mask
from planner.model import (
    MaskSource,
    Needle,
    Structure,
    StructureRole,
    StructureSet,
    Target,
    Verdict,
)
from planner.model.mr import Cylinder, SequenceFamily
from planner.safety.checks import NeedleAxis, check_clearances
from planner.safety.drawn_shift import drawn_shift_mm
from planner.safety.fields import FieldCache
from planner.safety.metal import MR_UNKNOWN, VOID_NAME, metal_layer, with_metal
from planner.safety.metal_advice import advice, alternatives
from planner.safety.metal_findings import (
    MetalWalks,
    _gap_mm,
    _outside_points,
    metal_findings,
    metal_record,
    shift_findings,
    target_shift,
)
from planner.safety.obstacles import resolve_obstacles
from tests.metal_truths import acquisition, grid_of, points_lps_mm

NEEDLE = Needle(name="22G-90", outer_diameter_mm=0.72, length_mm=90.0)


def structure(name, role, inside, grid, **more):
    return Structure(
        name=name,
        role=role,
        mask=Mask(grid=grid, inside=inside),
        source=MaskSource(file=f"{name}.nii.gz", grid=grid),
        **more,
    )


class Scene:
    """A rod along patient L, and a nerve 14 mm behind it, on an oblique grid."""

    def __init__(self, orientation="oblique"):
        self.grid = grid_of(orientation, (40, 90, 90), (3.0, 1.0, 1.1))
        points = points_lps_mm(self.grid)
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        rod = (np.hypot(y, z) <= 2.75) & (np.abs(x) < 25.0)
        nerve = np.hypot(y - 14.0, z) <= 2.0
        self.structures = StructureSet(
            grid=self.grid,
            structures=(
                structure("rods", StructureRole.IMPLANT, rod, self.grid),
                structure("nerve", StructureRole.AVOID, nerve, self.grid, structure_class="nerve"),
            ),
        )

    def layer(self, materials=None, **changes):
        one = acquisition(self.grid, **changes)
        return metal_layer(self.structures, [one], materials or {"rods": "titanium"})


@pytest.fixture(scope="module")
def scene():
    return Scene()


@pytest.fixture(scope="module")
def protocol():
    from planner.protocols import load_protocol

    return load_protocol("soft_tissue_biopsy")


def axis_past(distance_mm):
    """A needle along patient S, at a distance behind the rod's axis."""
    entry = np.array([0.0, distance_mm, 35.0])
    tip = np.array([0.0, distance_mm, -20.0])
    return NeedleAxis(entry_lps_mm=entry, tip_lps_mm=tip, end_lps_mm=tip)


def test_without_an_implant_there_is_no_layer(scene):
    nerve_only = StructureSet(grid=scene.grid, structures=scene.structures.structures[1:])
    assert metal_layer(nerve_only, [acquisition(scene.grid)], {}) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"bandwidth_hz_per_px": None}, "bandwidth_hz_per_px"),
        ({"readout_axis_lps": None}, "readout_axis_lps"),
        ({"sequence": SequenceFamily.GRE, "echo_time_ms": None}, "echo_time_ms"),
        ({"sequence": SequenceFamily.EPI}, "echo-planar"),
        (
            {"field_t": None, "problems": {"field_t": "MagneticFieldStrength is missing"}},
            "Magnetic",
        ),
    ],
)
def test_missing_values_are_unknown_and_named(scene, changes, named):
    layer = scene.layer(**changes)
    assert layer.field is None and layer.zones == ()
    (finding,) = layer.unknown
    assert finding.constraint == MR_UNKNOWN
    is_epi = changes.get("sequence") is SequenceFamily.EPI
    assert finding.verdict is (Verdict.FAIL if is_epi else Verdict.UNKNOWN)
    assert named in finding.note


def test_no_acquisition_at_all_is_unknown(scene):
    layer = metal_layer(scene.structures, [], {})
    assert layer.unknown[0].verdict is Verdict.UNKNOWN


def test_unknown_metal_counts_as_the_strongest_likely_one(scene):
    titanium, unknown = scene.layer(), scene.layer({"rods": "unknown"})
    steel = scene.layer({"rods": "steel"})
    void = {k: int(v.worst.is_void.sum()) for k, v in
            {"ti": titanium, "unknown": unknown, "steel": steel}.items()}  # fmt: skip
    assert void["ti"] < void["unknown"] == void["steel"]
    unnamed = metal_layer(scene.structures, [acquisition(scene.grid)], {})
    assert int(unnamed.worst.is_void.sum()) == void["unknown"]


def test_a_material_for_what_is_no_implant_is_refused(scene):
    with pytest.raises(ConfigError, match="no implant"):
        scene.layer({"nerve": "titanium"})
    with pytest.raises(ConfigError, match="material"):
        scene.layer({"rods": "unobtainium"})


def test_the_void_is_an_obstacle_and_the_nerve_grows(scene, protocol):
    plain = resolve_obstacles(scene.structures, protocol)
    changed = with_metal(plain, scene.layer({"rods": "cobalt-chrome"}))
    names = [o.name for o in changed.obstacles]
    assert names == ["rods", "nerve", VOID_NAME]
    by_name = {o.name: o for o in changed.obstacles}
    before = {o.name: o for o in plain.obstacles}
    nerve = by_name["nerve"].structure.mask
    assert nerve.n_voxels > before["nerve"].structure.mask.n_voxels
    assert not (before["nerve"].structure.mask.inside & ~nerve.inside).any()
    assert by_name["nerve"].required_mm == before["nerve"].required_mm
    assert by_name["rods"].structure is before["rods"].structure
    rod, void = by_name["rods"].structure.mask.inside, by_name[VOID_NAME].structure.mask.inside
    assert not (rod & ~void).any(), "the metal is in the void"


def test_unknown_physics_leaves_the_obstacles_alone(scene, protocol):
    plain = resolve_obstacles(scene.structures, protocol)
    assert with_metal(plain, scene.layer(bandwidth_hz_per_px=None)) is plain
    assert with_metal(plain, None) is plain


def test_guidance_sequence_adds_its_void(scene):
    planning = acquisition(scene.grid)
    guiding = acquisition(scene.grid, sequence=SequenceFamily.GRE)
    alone = metal_layer(scene.structures, [planning], {"rods": "titanium"})
    both = metal_layer(scene.structures, [planning, guiding], {"rods": "titanium"})
    assert both.worst.is_void.sum() > alone.worst.is_void.sum()
    assert len(both.zones) == 2


def test_clearance_with_and_without_the_sweep(scene, protocol):
    layer = scene.layer({"rods": "cobalt-chrome"})
    plain = resolve_obstacles(scene.structures, protocol)
    changed = with_metal(plain, layer)
    axis = axis_past(30.0)
    clearances, _ = check_clearances(axis, changed, NEEDLE, FieldCache())
    swept = {c.structure: c.clearance_mm for c in clearances}
    target = Target(point_lps_mm=axis.tip_lps_mm, tolerance_mm=3.0)
    walks = MetalWalks(layer)
    shift = target_shift(target, layer.acquisitions[0], walks, is_in_bone=False)
    record = metal_record(axis, walks, shift, NEEDLE, plain, FieldCache(), swept)
    assert swept["nerve"] < record.clearance_without_sweep_mm["nerve"] - 0.5
    assert record.zones_mm["distorted"] > 0.0 and record.largest_shift_mm >= 0.5
    assert sum(record.zones_mm.values()) == pytest.approx(55.0, abs=0.1)
    (finding,) = metal_findings(record)
    assert finding.measured == record.zones_mm["distorted"]


def test_a_path_through_the_void_fails(scene, protocol):
    changed = with_metal(resolve_obstacles(scene.structures, protocol), scene.layer())
    _, findings = check_clearances(axis_past(4.0), changed, NEEDLE, FieldCache())
    (void,) = [f for f in findings if f.constraint == "mr_void"]
    assert void.verdict is Verdict.FAIL and void.measured < 0


def test_target_shift_over_its_tolerance_fails(scene):
    layer = scene.layer({"rods": "cobalt-chrome"})
    walks = MetalWalks(layer)
    near = Target(point_lps_mm=np.array([0.0, 15.0, 0.0]), tolerance_mm=1.0)
    far = Target(point_lps_mm=np.array([0.0, 44.0, 0.0]), tolerance_mm=3.0)
    one = layer.acquisitions[0]
    (fails,) = shift_findings(target_shift(near, one, walks, is_in_bone=False), near)
    assert fails.verdict is Verdict.FAIL and fails.measured > 1.0
    passes = shift_findings(target_shift(far, one, walks, is_in_bone=False), far)
    assert all(f.verdict is not Verdict.FAIL for f in passes)


def test_marrow_shifts_against_water_without_any_metal(scene):
    target = Target(point_lps_mm=np.array([0.0, 44.0, 0.0]), tolerance_mm=3.0)
    one = acquisition(scene.grid)
    shift = target_shift(target, one, None, is_in_bone=True)
    assert shift.fat_mm == pytest.approx(3.4 * 42.577 * 1.5 / 250.0, rel=1e-3)
    assert target_shift(target, one, None, is_in_bone=False).total_mm == 0.0


def test_advice_is_computed_again(scene, protocol):
    layer = scene.layer({"rods": "cobalt-chrome"}, sequence=SequenceFamily.GRE, field_t=3.0)
    plain = resolve_obstacles(scene.structures, protocol)
    axis = axis_past(30.0)
    target = Target(point_lps_mm=axis.tip_lps_mm, tolerance_mm=3.0)
    drawn, _ = check_clearances(axis, plain, NEEDLE, FieldCache())
    rows = advice(
        axis,
        layer,
        plain,
        NEEDLE,
        target,
        {c.structure: c.clearance_mm for c in drawn},
        is_in_bone=False,
    )
    by_change = {row.change: row for row in rows}
    assert next(iter(by_change)) == "as it is" and len(rows) == 6
    now = by_change["as it is"]
    assert by_change["1.5 T instead of 3 T"].target_shift_mm < now.target_shift_mm
    assert by_change["turbo spin echo instead of gradient echo"].void_mm > now.void_mm
    assert by_change["bandwidth 500 Hz per pixel"].target_shift_mm <= now.target_shift_mm
    changed = with_metal(plain, layer)
    exact, _ = check_clearances(axis, changed, NEEDLE, FieldCache())
    nerve = next(c for c in exact if c.structure == "nerve")
    assert now.structure == "nerve"
    assert now.room_mm == pytest.approx(nerve.clearance_mm - nerve.required_mm, abs=0.02)


def test_only_alternatives_that_apply(scene):
    changes = [change for change, _ in alternatives(acquisition(scene.grid, acquisition="3D"))]
    assert not any("slices" in c or "turbo" in c or "1.5 T" in c for c in changes)


def test_two_directions_of_b0_are_unknown(scene):
    planning = acquisition(scene.grid)
    upright = replace(planning, b0_direction_lps=np.array([0.0, 1.0, 0.0]))
    layer = metal_layer(scene.structures, [planning, upright], {"rods": "titanium"})
    (finding,) = layer.unknown
    assert finding.verdict is Verdict.UNKNOWN and "B0" in finding.note and layer.field is None
    turned = replace(planning, b0_direction_lps=-planning.b0_direction_lps)
    assert not metal_layer(scene.structures, [planning, turned], {"rods": "titanium"}).unknown


@pytest.mark.parametrize("orientation", ["oblique", "flipped"])
def test_what_is_drawn_at_a_point_may_come_from_where_the_shift_is_larger(orientation):
    layer = Scene(orientation).layer({"rods": "cobalt-chrome"})
    zones, model = layer.zones[0], layer.models[0]
    walks = MetalWalks(layer)
    rng = np.random.default_rng(5)
    seen = np.argwhere(~zones.is_void & (zones.readout_mm > 1.0)) + zones.start_kji
    for kji in rng.permutation(seen)[:40]:
        at = tuple(kji - zones.start_kji)
        true_lps_mm = layer.grid.to_lps(kji)
        share = rng.uniform(-1.0, 1.0, 2)
        readout, through = share * (zones.readout_mm[at], zones.slice_mm[at])
        moved = readout * model.readout_axis_lps + through * model.slice_axis_lps
        told = walks.at_mm(true_lps_mm + moved)
        # a hair for the voxel that the bound is read from
        assert told[0] >= abs(readout) - 0.3 and told[1] >= abs(through) - 0.3


def test_a_readout_without_an_axis_shifts_to_any_side():
    layer = Scene().layer({"rods": "cobalt-chrome"}, is_isotropic_readout=True)
    zones = layer.zones[0]
    assert layer.models[0].readout_axis_lps is None
    walks = MetalWalks(layer)
    rng = np.random.default_rng(7)
    seen = np.argwhere(~zones.is_void & (zones.readout_mm > 1.0)) + zones.start_kji
    assert len(seen)
    for kji in rng.permutation(seen)[:40]:
        at = tuple(kji - zones.start_kji)
        to = rng.normal(size=3)
        readout = rng.uniform(0.0, 1.0) * zones.readout_mm[at]
        told = walks.at_mm(layer.grid.to_lps(kji) + readout * to / np.linalg.norm(to))
        assert told[0] >= readout - 1e-6


def test_far_from_metal_the_drawn_place_is_as_uncertain_as_the_true_one(scene):
    layer = scene.layer({"rods": "titanium"})
    told = drawn_shift_mm(np.array([0.0, 48.0, 0.0]), layer.zones[0], layer.models[0], layer.grid)
    assert max(told) <= 0.25


def test_a_rod_that_leaves_the_image_is_known_beyond_its_edge(scene):
    grid = scene.grid
    end = grid.corners_lps_mm().max(0) + 30.0
    rods = (Cylinder(start_lps_mm=np.zeros(3), end_lps_mm=end, diameter_mm=5.5),)
    points = _outside_points(rods, grid)
    assert len(points) and not grid.contains(points).any()
    assert len(_outside_points((replace(rods[0], end_lps_mm=np.ones(3)),), grid)) == 0
    axis = axis_past(10.0)
    brute = min(
        np.linalg.norm(
            points - (axis.entry_lps_mm + t * (axis.end_lps_mm - axis.entry_lps_mm)), axis=1
        ).min()
        for t in np.linspace(0, 1, 2001)
    )
    assert _gap_mm(points, axis) == pytest.approx(brute, abs=1e-3)
