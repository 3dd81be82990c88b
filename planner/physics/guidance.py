"""The sequence that guides the needle, where it is another than that of the planning image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from planner.errors import ConfigError
from planner.geometry import Grid
from planner.model.mr import MRAcquisition
from planner.physics.acquisition import acquisition_of
from planner.physics.acquisition_overrides import Overrides

_OF_A_SEQUENCE = (
    "bandwidth_hz_per_px",
    "readout_pixel_mm",
    "readout_axis_lps",
    "slice_thickness_mm",
    "acquisition",
    "echo_time_ms",
    "repetition_time_ms",
)


def guiding_acquisition(
    header: Mapping[str, object],
    grid: Grid,
    planning: Mapping[str, object],
    guidance: Mapping[str, object],
) -> MRAcquisition:
    """The sequence that guides the needle: of the planning image only the magnet is the same.

    Parameters
    ----------
    header, grid
        Of the planning image.
    planning, guidance : mapping
        What the user says of the planning image and of the guiding sequence. Of the
        latter, ``like=planning`` takes over all that is not said otherwise.

    Returns
    -------
    MRAcquisition
        Everything not said of the guiding sequence is missing, with a problem that names
        the option.

    Raises
    ------
    ConfigError
        If ``like`` is anything but ``planning``.
    """
    given = dict(guidance)
    like = given.pop("like", None)
    if like is not None:
        if str(like).strip().lower() != "planning":
            raise ConfigError(
                "the guiding sequence can only be like the planning image",
                seen=like,
                needed="planning",
                where="--mr guidance.like=...",
            )
        return acquisition_of(header, grid, {**planning, **given})
    magnet = {k: v for k, v in planning.items() if k in ("field_t", "b0", "b0_direction_lps")}
    kept = {k: v for k, v in header.items() if k in ("field_t", "imaging_frequency_mhz")}
    known = acquisition_of(kept, grid, {**magnet, **given})
    said = Overrides.of(given, grid).values
    lacking = [n for n in _OF_A_SEQUENCE if n not in said and getattr(known, n) is None]
    if "slice_axis_lps" not in said:  # what the header gives is of the planning image
        lacking.append("slice_axis_lps")
    told = {
        name: f"not given for the guiding sequence (--mr guidance.{name}=..., or "
        "guidance.like=planning)"
        for name in lacking
    }
    return replace(known, problems={**known.problems, **told})
