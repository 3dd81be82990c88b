"""The body, its skin, and where on it a needle may be tried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask, Volume
from planner.geometry.frames import FloatArray
from planner.model import Finding, StructureRole, StructureSet
from planner.progress import ProgressCallback
from planner.safety import FieldCache
from planner.search.batch import AxisBatch, axis_batch, coherent_order
from planner.search.options import SearchOptions
from planner.skin import SkinEntries, find_body, imaged_around, skin_entries


class SkinSide:
    """The outer surface of the body: given as structures of role body, or found.

    Attributes
    ----------
    body, imaged : Mask
    source : str
        ``"automatic"`` or ``"structure:NAME"``.
    warnings, findings
        What is doubtful about a body that was found.
    """

    def __init__(
        self,
        volume: Volume,
        structures: StructureSet,
        options: SearchOptions,
        cache: FieldCache,
        progress: ProgressCallback,
    ) -> None:
        self._volume, self._structures = volume, structures
        self._options, self._cache = options, cache
        self.warnings: tuple[str, ...] = ()
        self.findings: tuple[Finding, ...] = ()
        given = structures.with_role(StructureRole.BODY)
        if given:
            inside = np.logical_or.reduce([s.mask.inside for s in given])
            names = "+".join(s.name for s in given)
            self.body, self.source = Mask(grid=volume.grid, inside=inside), f"structure:{names}"
            self.imaged = imaged_around(volume, self.body)
        else:
            progress("finding the body", 0.0)
            found = find_body(volume)
            progress("finding the body", 1.0)
            self.body, self.source, self.imaged = found.mask, "automatic", found.imaged
            self.warnings, self.findings = tuple(found.warnings), tuple(found.findings)
        self._skin: SkinEntries | None = None
        self._forbidden: NDArray[np.bool_] | None = None

    def candidates(
        self, tips_lps_mm: FloatArray, reach_mm: float, throw_mm: float, most: int
    ) -> tuple[AxisBatch, NDArray[np.bool_] | None, NDArray[np.bool_]]:
        """Candidates from all skin in reach to every tip.

        Parameters
        ----------
        tips_lps_mm : (m, 3)
        reach_mm : float
            Longest path that is tried.
        most : int
            With several tips entries are thinned evenly, to about so many candidates.

        Returns
        -------
        AxisBatch
        ndarray of bool or None
            Which enter where none may; None where no skin is forbidden.
        ndarray of bool
            Which enter where the image ends.
        """
        if self._skin is None:
            self._skin = self._find_skin()
            self._skin_axes_mm = self._volume.grid.to_axes_mm(self._skin.entry_lps_mm)
            self._forbidden = self._forbidden_entries(self._skin)
        skin = self._skin
        near = [np.flatnonzero(_within(skin.entry_lps_mm, tip, reach_mm)) for tip in tips_lps_mm]
        every = max(1, -(-sum(n.size for n in near) // most)) if len(near) > 1 else 1
        near = [n[::every] for n in near]
        place = np.concatenate(near)
        counts = [n.size for n in near]
        batch = axis_batch(
            np.take(skin.entry_lps_mm, place, axis=0),
            np.take(skin.outward_normal_lps, place, axis=0),
            np.take(self._skin_axes_mm, place, axis=0),
            np.repeat(tips_lps_mm, counts, axis=0),
            np.repeat(self._volume.grid.to_axes_mm(tips_lps_mm), counts, axis=0),
            throw_mm,
            self._volume.grid,
        )
        forbidden = None if self._forbidden is None else self._forbidden[place]
        return batch, forbidden, skin.is_image_end[place]

    def nearest_mm(self, point_lps_mm: FloatArray) -> float | None:
        """From a point to the nearest skin in view; None without any."""
        if self._skin is None or self._skin.is_image_end.all():
            return None
        skin = self._skin.entry_lps_mm[~self._skin.is_image_end]
        return float(np.linalg.norm(skin - point_lps_mm, axis=1).min())

    def _find_skin(self) -> SkinEntries:
        found = skin_entries(
            self.body,
            spacing_mm=self._options.entry_spacing_mm,
            imaged=self.imaged,
            with_image_ends=True,
        )
        return found.only(coherent_order(self._volume.grid.to_axes_mm(found.entry_lps_mm)))

    def _forbidden_entries(self, skin: SkinEntries) -> NDArray[np.bool_] | None:
        """Entries in a forbidden structure or within its margin; None when none is named."""
        names = self._options.forbidden_entry
        if not names:
            return None
        forbidden = np.zeros(len(skin), dtype=bool)
        for name in names:
            structure = self._structures[name]
            index = self._cache.index(name, structure.mask)
            entries = skin.entry_lps_mm
            distance = index.closest_approach(entries, entries).distance_mm
            forbidden |= ~(distance > (structure.margin_mm or 0.0))
        return forbidden


def _within(points: FloatArray, centre: FloatArray, reach_mm: float) -> NDArray[np.bool_]:
    offset = points - centre
    return np.asarray(np.einsum("ij,ij->i", offset, offset) <= reach_mm**2)
