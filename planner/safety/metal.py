"""Metal in the plan: where its field moves or hides the image, and what that does to obstacles.

The void becomes an obstacle of its own. Every other obstacle is swept by the local bound
of the shift before its distance is taken; the metal's own mask stays where it is.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.errors import ConfigError
from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray
from planner.model import Finding, MaskSource, Structure, StructureRole, StructureSet, Verdict
from planner.model.mr import Material, MRAcquisition, SequenceFamily
from planner.model.mr_results import ImplantUse, MetalMap
from planner.physics.materials import UNKNOWN_METAL, candidate_materials, worst_ppm
from planner.physics.metal_share import share_of_cylinders, share_of_mask
from planner.physics.metal_zones import (
    SWEEP_SHIFT_MM,
    MetalBody,
    MetalField,
    MetalZones,
    metal_field,
    reach_mm,
    slices_of,
    union,
    zones_of,
)
from planner.physics.shifts import ShiftModel, missing_for_metal, shift_model
from planner.physics.sweep import half_widths_kji, largest, swept
from planner.safety.obstacles import CONTACT_MM, Obstacle, Obstacles

MR_VOID = "mr_void"
MR_UNKNOWN = "mr_unknown"
VOID_NAME = "MR void"
VOID_EVIDENCE = "C: dipole field (docs/metal.md)"
_VOID_CLEAR_MM = 3.0

SAME_B0_COSINE = 0.99999
"""Directions of B0 within a quarter of a degree are one."""

GEOMETRY_KINDS: Mapping[str, Literal["surface mesh", "rods"]] = {
    "surface mesh": "surface mesh",
    "rods": "rods",
}
"""Kinds of file that give the metal itself; a mask may be drawn on the metal's artefact."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Implant:
    """One implant: its structure and the metals it may be."""

    structure: Structure
    materials: tuple[Material, ...]

    @property
    def use(self) -> ImplantUse:
        """What a plan records of it."""
        return ImplantUse(
            name=self.structure.name,
            materials=self.materials,
            shape=GEOMETRY_KINDS.get(self.structure.source.kind, "mask"),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalLayer:
    """What metal does to one image and the sequence that guides the needle.

    ``zones`` holds the zones of each acquisition (in their order) and ``worst`` all of them
    together; empty and None where the physics is not known: ``unknown`` then says why.
    """

    grid: Grid
    implants: tuple[Implant, ...]
    acquisitions: tuple[MRAcquisition, ...]
    models: tuple[ShiftModel, ...]
    field: MetalField | None
    zones: tuple[MetalZones, ...]
    unknown: tuple[Finding, ...]

    @property
    def worst(self) -> MetalZones | None:
        """The worst of all acquisitions, voxel by voxel."""
        return functools.reduce(union, self.zones) if self.zones else None

    def reach_mm(self, implant: Implant) -> float:
        """Distance from which as much metal as an implant's shifts nothing; inf if unknown."""
        if not self.models:
            return np.inf
        mask = implant.structure.mask
        strength = mask.volume_mm3 * worst_ppm(implant.materials)
        return max(reach_mm(strength, model) for model in self.models)


def metal_layer(
    structures: StructureSet,
    acquisitions: Sequence[MRAcquisition],
    materials: Mapping[str, str],
) -> MetalLayer | None:
    """The metal of a plan, or None where no structure is an implant.

    Parameters
    ----------
    structures : StructureSet
    acquisitions : sequence of MRAcquisition
        The planning image's first, then those that guide the needle; the worst counts.
    materials : mapping of structure name to material
        Implants that are not named are of unknown metal: the strongest likely one counts.

    Raises
    ------
    ConfigError
        A material is for a structure that is no implant, or is not in the table.
    """
    implants = tuple(
        Implant(
            structure=s,
            materials=candidate_materials(materials.get(s.name, UNKNOWN_METAL)),
        )
        for s in structures.with_role(StructureRole.IMPLANT)
    )
    _check_names(materials, implants)
    if not implants:
        return None
    unknown = tuple(_unknown(a) for a in acquisitions if missing_for_metal(a))
    if not unknown and not _one_b0(acquisitions):
        unknown = (_two_b0(),)
    if unknown or not acquisitions:
        return MetalLayer(
            grid=structures.grid,
            implants=implants,
            acquisitions=tuple(acquisitions),
            models=(),
            field=None,
            zones=(),
            unknown=unknown or (_no_acquisition(),),
        )
    models = tuple(shift_model(a) for a in acquisitions)
    bodies = [_body(implant) for implant in implants]
    field = metal_field(bodies, models, structures.grid, acquisitions[0].b0_direction_lps)
    return MetalLayer(
        grid=structures.grid,
        implants=implants,
        acquisitions=tuple(acquisitions),
        models=models,
        field=field,
        zones=tuple(
            zones_of(field, model, voxel_edges_mm(a))
            for a, model in zip(acquisitions, models, strict=True)
        ),
        unknown=(),
    )


def with_acquisition(layer: MetalLayer, acquisition: MRAcquisition) -> MetalLayer:
    """The same metal under one other acquisition; its field is not computed again.

    Raises
    ------
    ValueError
        If the layer has no field, or the acquisition misses a value.
    """
    if layer.field is None:
        raise ValueError("the field of the metal is not known")
    model = shift_model(acquisition)
    return replace(
        layer,
        acquisitions=(acquisition,),
        models=(model,),
        zones=(zones_of(layer.field, model, voxel_edges_mm(acquisition)),),
    )


def voxel_edges_mm(acquisition: MRAcquisition) -> FloatArray:
    """Acquired voxel along readout, phase and slice; what is not known is not asked for."""
    read = acquisition.readout_pixel_mm or 0.0
    return np.array([read, acquisition.phase_pixel_mm or read, acquisition.slice_thickness_mm or 0])


def with_metal(obstacles: Obstacles, layer: MetalLayer | None) -> Obstacles:
    """The obstacles as metal leaves them: swept, and the void added.

    Swept obstacles keep their name, margin and constraint; only the mask grows.
    """
    if layer is None or layer.field is None:
        return obstacles
    widths = sweep_widths(layer)
    changed = [_swept_obstacle(o, layer.field, widths) for o in obstacles.obstacles]
    return replace(obstacles, obstacles=(*changed, void_obstacle(layer)))


def metal_map(layer: MetalLayer) -> MetalMap | None:
    """The zones as values for pictures; None where the physics is not known."""
    worst = layer.worst
    if worst is None:
        return None
    return MetalMap(
        grid=layer.grid.cropped(worst.start_kji, worst.stop_kji),
        readout_mm=worst.readout_mm,
        slice_mm=worst.slice_mm,
        is_void=worst.is_void,
        field_hz=layer.zones[0].field_hz,
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SweepWidths:
    """Voxels to either side, per axis, from which a voxel's content may be; and the widest."""

    half: NDArray[np.int16]
    largest: NDArray[np.int64]

    def swept(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A block of a mask with every voxel set that may truly hold what was drawn."""
        return swept(inside, self.half, self.largest)


def sweep_widths(layer: MetalLayer) -> SweepWidths:
    """The widest sweep of the acquisitions; zero where the shift is below ``SWEEP_SHIFT_MM``."""
    widths = []
    for zones, model in zip(layer.zones, layer.models, strict=True):
        is_still = ~(zones.shift_mm >= SWEEP_SHIFT_MM)
        readout = np.where(is_still, np.float32(0.0), zones.readout_mm)
        through = np.where(is_still, np.float32(0.0), zones.slice_mm)
        widths.append(half_widths_kji(readout, through, model, layer.grid))
    half = functools.reduce(np.maximum, widths)
    return SweepWidths(half=half, largest=largest(half))


def sweep_mask(mask: Mask, field: MetalField, widths: SweepWidths) -> Mask:
    """A mask with every voxel set that may truly hold what was drawn."""
    block = slices_of(field)
    inside = mask.inside[block]
    if not inside.any():
        return mask
    result = np.array(mask.inside)
    result[block] = widths.swept(inside)
    return Mask(grid=mask.grid, inside=result)


def void_mask(layer: MetalLayer) -> Mask:
    """Where signal is lost or the image folds, in any acquisition. The metal is always in it."""
    worst = layer.worst
    assert worst is not None
    inside = np.zeros(layer.grid.shape_kji, np.bool_)
    inside[worst.block] = worst.is_void
    return Mask(grid=layer.grid, inside=inside)


def void_obstacle(layer: MetalLayer) -> Obstacle:
    """The void as a hard obstacle."""
    structure = Structure(
        name=VOID_NAME,
        role=StructureRole.AVOID,
        mask=void_mask(layer),
        source=MaskSource(file="computed", grid=layer.grid, role_from="MR physics"),
        structure_class="mr_void",
    )
    return Obstacle(
        structure=structure,
        constraint=MR_VOID,
        required_mm=CONTACT_MM,
        clear_mm=CONTACT_MM + _VOID_CLEAR_MM,
        caution_mm=0.0,
        evidence=VOID_EVIDENCE,
    )


def _swept_obstacle(obstacle: Obstacle, field: MetalField, widths: SweepWidths) -> Obstacle:
    structure = obstacle.structure
    if structure.role is StructureRole.IMPLANT:
        return obstacle
    mask = sweep_mask(structure.mask, field, widths)
    if mask is structure.mask:
        return obstacle
    return replace(obstacle, structure=replace(structure, mask=mask), drawn=structure.mask)


def _body(implant: Implant) -> MetalBody:
    structure = implant.structure
    return MetalBody(
        share=share_of_cylinders(structure.rods, structure.mask.grid)
        if structure.rods
        else share_of_mask(structure.mask.inside),
        delta_chi_ppm=worst_ppm(implant.materials),
        nominal_ppm=max((m.delta_chi_ppm.value for m in implant.materials), key=abs),
    )


def _unknown(acquisition: MRAcquisition) -> Finding:
    missing = missing_for_metal(acquisition)
    named = "; ".join(f"{m.name}: {m.reason}" for m in missing)
    options = ", ".join(f"--mr {m.name}=..." for m in missing)
    is_epi = acquisition.sequence is SequenceFamily.EPI
    return Finding(
        constraint=MR_UNKNOWN,
        structure=None,
        measured=None,
        required=None,
        unit="",
        verdict=Verdict.FAIL if is_epi else Verdict.UNKNOWN,
        note=f"beside metal the image shift is not known: {named}; "
        + ("plan on another series" if is_epi else f"give {options}"),
    )


def _one_b0(acquisitions: Sequence[MRAcquisition]) -> bool:
    first = acquisitions[0].b0_direction_lps if acquisitions else None
    return all(
        abs(float(first @ a.b0_direction_lps)) >= SAME_B0_COSINE
        for a in acquisitions
        if first is not None
    )


def _two_b0() -> Finding:
    return Finding(
        constraint=MR_UNKNOWN,
        structure=None,
        measured=None,
        required=None,
        unit="",
        verdict=Verdict.UNKNOWN,
        note="the planning and the guiding sequence have different directions of B0: the field of "
        "metal is computed for one only; plan for the guiding magnet alone (--mr b0=...)",
    )


def _no_acquisition() -> Finding:
    return Finding(
        constraint=MR_UNKNOWN,
        structure=None,
        measured=None,
        required=None,
        unit="",
        verdict=Verdict.UNKNOWN,
        note="there is an implant but no MR acquisition is known: give --mr values",
    )


def _check_names(materials: Mapping[str, str], implants: tuple[Implant, ...]) -> None:
    names = [implant.structure.name for implant in implants]
    for name in materials:
        if name not in names:
            raise ConfigError(
                "a material is given for a structure that is no implant",
                seen=name,
                needed=", ".join(names) or "a structure with role implant",
                where="--implant NAME=MATERIAL",
                fix=f"Give it the role first: --role {name}=implant",
            )
