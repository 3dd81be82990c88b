"""MR physics in a plan: zones, sweeps, target shift, artefact, bore; missing values never pass."""

from __future__ import annotations

import numpy as np
import pytest

import planner
from planner.errors import ConfigError
from planner.model import StructureSet, Verdict
from planner.model.mr_results import Bore
from tests.metal_plan import KNOWN, OPTIONS, metal_plan, metal_scene
from tests.trunk import TARGET_LPS_MM, simple_protocol, trunk

GOOD = (Verdict.PASS, Verdict.CAUTION)


def findings(path, constraint):
    return [f for f in path.findings if f.constraint == constraint]


@pytest.fixture(scope="module")
def scene():
    return metal_scene()


@pytest.fixture(scope="module")
def titanium(scene):
    return metal_plan("titanium", scene=scene)


@pytest.fixture(scope="module")
def steel(scene):
    return metal_plan("stainless steel", scene=scene)


class TestMetal:
    def test_a_path_beside_metal_has_its_numbers(self, titanium):
        assert titanium.metal is not None and titanium.metal.is_void.any()
        for path in titanium.trajectories:
            record = path.metal
            length = np.linalg.norm(path.throw_end_lps_mm - path.entry_lps_mm)
            assert sum(record.zones_mm.values()) == pytest.approx(length, abs=0.05)
            assert record.zones_mm["void"] == 0.0
            assert "MR void" in path.clearance_mm
            assert path.clearance_mm["MR void"] <= path.clearance_mm["rod"]
            assert path.advice[0].change == "as it is"

    def test_the_sweep_never_gives_room(self, titanium, steel):
        for result in (titanium, steel):
            for path in result.trajectories:
                for name, drawn in path.metal.clearance_without_sweep_mm.items():
                    assert path.clearance_mm[name] <= drawn

    def test_stronger_metal_never_opens_a_path(self, titanium, steel):
        weak, strong = titanium.candidates.feasible, steel.candidates.feasible
        assert strong.sum() < weak.sum()
        assert not np.any(strong & ~weak)
        assert steel.rejected_counts.get("mr_void", 0) > titanium.rejected_counts.get("mr_void", 0)

    def test_an_unknown_metal_is_the_worst_not_excluded(self, scene, steel):
        unknown = metal_plan("unknown", scene=scene)
        assert not np.any(unknown.candidates.feasible & ~steel.candidates.feasible)
        (use,) = unknown.implants
        assert [m.name for m in use.materials] == ["titanium", "cobalt-chrome", "stainless steel"]

    def test_a_target_in_the_void_has_no_path_and_a_reason(self, scene):
        volume, structures = scene
        result = planner.plan(
            volume,
            (-6.0, 21.0, 18.0),
            simple_protocol(),
            structures,
            mr=KNOWN,
            implants={"rod": "stainless steel"},
            **OPTIONS,
        )
        assert not result.trajectories
        codes = [e.code for e in result.explanation]
        assert "target_in_void" in codes and "mr_advice" in codes

    def test_a_shift_over_the_tolerance_fails(self, scene):
        result = metal_plan("stainless steel", scene=scene, tolerance_mm=0.5)
        assert result.trajectories
        for path in result.trajectories:
            (shift,) = findings(path, "target_shift")
            assert shift.measured > shift.required and shift.verdict is Verdict.FAIL
        assert result.verdict is Verdict.FAIL

    def test_the_guiding_sequence_counts_too(self, scene, titanium):
        guided = metal_plan(
            "titanium",
            scene=scene,
            mr={**KNOWN, "guidance.like": "planning", "guidance.bandwidth_hz_per_px": 60.0},
            top=1,
        )
        assert len(guided.acquisitions) == 2
        assert guided.metal.is_void.sum() > titanium.metal.is_void.sum()


class TestUnknown:
    @pytest.mark.parametrize(
        "name", ["bandwidth_hz_per_px", "readout", "field_t", "slice_thickness_mm", "acquisition"]
    )
    def test_a_missing_value_beside_metal_never_passes_and_is_named(self, scene, name):
        mr = {key: value for key, value in KNOWN.items() if key != name}
        result = metal_plan(scene=scene, mr=mr, top=1)
        (finding,) = findings(result.trajectories[0], "mr_unknown")
        assert finding.verdict is Verdict.UNKNOWN and name in finding.note
        assert result.verdict not in GOOD

    def test_no_acquisition_at_all(self, scene):
        result = metal_plan(scene=scene, mr={}, top=1)
        assert result.acquisitions == ()
        assert result.verdict is Verdict.UNKNOWN
        assert findings(result.trajectories[0], "mr_unknown")

    def test_echo_planar_images_are_refused_beside_metal(self, scene):
        result = metal_plan(scene=scene, mr={**KNOWN, "sequence": "EPI"}, top=1)
        assert result.verdict is Verdict.FAIL
        (finding,) = findings(result.trajectories[0], "mr_unknown")
        assert "echo-planar" in finding.note

    def test_metal_that_the_image_cuts_is_unknown_near_the_cut(self, scene):
        from dataclasses import replace

        from planner.geometry import Mask

        volume, structures = scene
        rod = structures["rod"]
        points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
        to_the_end = np.hypot(points[..., 0] + 20, points[..., 1] - 20) < 2.5
        long_rod = replace(rod, mask=Mask(grid=volume.grid, inside=to_the_end))
        kept = tuple(s for s in structures.structures if s.name != "rod")
        cut = StructureSet(grid=volume.grid, structures=(*kept, long_rod))
        result = metal_plan("stainless steel", scene=(volume, cut), top=1)
        (finding,) = findings(result.trajectories[0], "mr_unknown")
        assert finding.structure == "rod" and finding.verdict is Verdict.UNKNOWN

    def test_a_material_for_what_is_no_implant_is_refused(self, scene):
        volume, structures = scene
        with pytest.raises(ConfigError, match="no implant"):
            planner.plan(
                volume, TARGET_LPS_MM, simple_protocol(), structures, implants={"nerve": "steel"}
            )

    def test_a_metal_nobody_knows_is_refused_with_the_table(self, scene):
        with pytest.raises(ConfigError, match="cobalt-chrome"):
            metal_plan("adamantium", scene=scene)


class TestNeedle:
    def test_artefact_planes_and_cost_without_metal(self):
        volume, structures = trunk("oblique")
        result = planner.plan(
            volume, TARGET_LPS_MM, simple_protocol(), structures, mr=KNOWN, **OPTIONS
        )
        for path in result.trajectories:
            assert path.metal is None and path.advice == ()
            assert path.artefact.width_mm >= result.needle.outer_diameter_mm
            assert path.artefact.b0_angle_deg == pytest.approx(path.angles.b0_deg)
            assert 0.0 <= path.cost_terms["needle_artefact"] <= 1.0
            assert len(path.scan_planes) == 3

    def test_without_an_acquisition_nothing_is_claimed(self):
        volume, structures = trunk("oblique")
        result = planner.plan(volume, TARGET_LPS_MM, simple_protocol(), structures, **OPTIONS)
        path = result.trajectories[0]
        assert path.artefact is None and path.angles.b0_deg is None
        assert "needle_artefact" not in path.cost_terms
        assert len(path.scan_planes) == 3

    def test_b0_decides_the_angle(self):
        volume, structures = trunk("axial")
        along = {}
        for b0 in ("bore", "anterior-posterior"):
            result = planner.plan(
                volume,
                TARGET_LPS_MM,
                simple_protocol(),
                structures,
                mr={**KNOWN, "b0": b0},
                **OPTIONS,
            )
            path = result.trajectories[0]
            axis = np.array([0, 0, 1.0] if b0 == "bore" else [0, 1.0, 0])
            needle = path.tip_lps_mm - path.entry_lps_mm
            cosine = abs(needle @ axis) / np.linalg.norm(needle)
            along[b0] = path.angles.b0_deg
            assert path.angles.b0_deg == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-6)
        assert along["bore"] != pytest.approx(along["anterior-posterior"])

    def test_a_structure_under_the_artefact_is_told(self):
        """A thick steel needle at low bandwidth: the nerve 3 mm away cannot be seen."""
        volume, structures = trunk("oblique")
        mr = {**KNOWN, "sequence": "GRE", "echo_time_ms": 12.0}
        needle = "14G-90:steel"
        result = planner.plan(
            volume, TARGET_LPS_MM, simple_protocol(), structures, mr=mr,
            **{**OPTIONS, "needle": needle},
        )  # fmt: skip
        for path in result.trajectories:
            beyond = path.artefact.width_max_mm / 2 - result.needle.radius_mm
            hidden = {f.structure for f in findings(path, "needle_artefact") if f.structure}
            near = {name for name in ("nerve", "aorta") if path.clearance_mm[name] < beyond}
            assert hidden == near
        assert any(findings(p, "needle_artefact") for p in result.trajectories)


class TestBore:
    def plan(self, bore):
        volume, structures = trunk("oblique")
        return planner.plan(
            volume, TARGET_LPS_MM, simple_protocol(), structures, bore=bore, **OPTIONS
        )

    def test_a_wide_bore_removes_nothing(self):
        wide = self.plan(Bore(radius_mm=600.0, centre_lp_mm=(0.0, 0.0)))
        assert "bore" not in wide.rejected_counts
        (finding,) = findings(wide.trajectories[0], "bore")
        assert finding.verdict is Verdict.PASS
        assert wide.trajectories[0].bore_room_mm > 0

    def test_a_narrow_bore_leaves_what_fits(self):
        narrow = self.plan(Bore(radius_mm=210.0, centre_lp_mm=(0.0, 0.0)))
        assert narrow.rejected_counts["bore"] > 0
        assert all(p.bore_room_mm >= 0 for p in narrow.trajectories)

    def test_an_unknown_centre_is_unknown(self):
        result = self.plan(Bore(radius_mm=350.0, centre_lp_mm=None))
        (finding,) = findings(result.trajectories[0], "bore")
        assert finding.verdict is Verdict.UNKNOWN
        assert result.verdict is Verdict.UNKNOWN

    def test_without_a_bore_the_plan_says_that_it_is_not_checked(self):
        result = self.plan(None)
        assert "bore_not_checked" in [w.code for w in result.warnings]
