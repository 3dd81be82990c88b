"""What Siemens' private CSA headers say about a mosaic: how many slices, and which way they go."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from planner.geometry.frames import FloatArray
from planner.io.dicom_values import RawElements

CREATOR, IMAGE_HEADER, SERIES_HEADER = 0x00290010, 0x00291010, 0x00291020
MR_CREATOR, NUMBER_OF_IMAGES = 0x00190010, 0x0019100A
CSA_TAGS = (CREATOR, IMAGE_HEADER, SERIES_HEADER, MR_CREATOR, NUMBER_OF_IMAGES)

MAX_SLICES = 1024
"""Most slices of one mosaic; a picture of 65535 pixels a side could not hold many more."""

_SIGNATURE = b"SV10\4\3\2\1"
"""How a CSA header starts (of the second kind; the first, of scanners before 2003, is not read).

So marked it counts even where an anonymiser stripped its private creator.
"""

_PROTOCOLS = ("MrPhoenixProtocol", "MrProtocol")
_N_SLICES = re.compile(r"sSliceArray\.lSize\s*=\s*(\d+)\b")
_POSITION = re.compile(
    r"sSliceArray\.asSlice\[(\d+)\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)"
)
_AXES = {"Sag": 0, "Cor": 1, "Tra": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicFacts:
    """What is stated; None where nothing is.

    Attributes
    ----------
    n_images : dict of str to int
        Number of slices, by the place that states it.
    normal_lps : ndarray or None, shape (3,)
        From one tile to the next.
    slice_centres_lps_mm : ndarray or None, shape (n, 3)
        Of the protocol, in its own order, which need not be that of the tiles.
    """

    n_images: Mapping[str, int]
    normal_lps: FloatArray | None
    slice_centres_lps_mm: FloatArray | None
    b_value_s_per_mm2: float | None
    gradient_direction: tuple[float, ...] | None


def mosaic_facts(raw: RawElements) -> MosaicFacts:
    """The facts in the private elements of one mosaic; damaged ones count as absent."""
    image, series = (_csa(raw, tag) for tag in (IMAGE_HEADER, SERIES_HEADER))
    n_images: dict[str, int] = {}
    stated = _numbers(image, "NumberOfImagesInMosaic")
    if stated:
        n_images["CSA NumberOfImagesInMosaic"] = int(stated[0])
    if raw.text(MR_CREATOR) == "SIEMENS MR HEADER":
        n_images |= _own_number(raw)
    centres = _slice_centres(tuple(str(t) for name in _PROTOCOLS for t in series.get(name, ())))
    if centres is not None and len(centres) > 1:
        n_images["protocol"] = len(centres)
    normal = _numbers(image, "SliceNormalVector")
    direction = _numbers(image, "DiffusionGradientDirection")
    b_value = _numbers(image, "B_value")
    return MosaicFacts(
        n_images=n_images,
        normal_lps=np.array(normal) if len(normal) == 3 else None,
        slice_centres_lps_mm=centres,
        b_value_s_per_mm2=b_value[0] if b_value else None,
        gradient_direction=direction if len(direction) == 3 else None,
    )


def _csa(raw: RawElements, tag: int) -> Mapping[str, tuple[object, ...]]:
    data = raw.by_tag.get(tag, b"")
    is_siemens = raw.text(CREATOR) in ("", "SIEMENS CSA HEADER")
    return _parsed(data) if is_siemens and data.startswith(_SIGNATURE) else {}


def _own_number(raw: RawElements) -> dict[str, int]:
    try:
        own = raw.shorts(NUMBER_OF_IMAGES)
    except ValueError:
        return {}
    return {"(0019,100A)": own[0]} if own else {}


@lru_cache(maxsize=16)
def _parsed(data: bytes) -> Mapping[str, tuple[object, ...]]:
    """Items by name; the series header is the same in all files of a series."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its reader experimental on import
        from nibabel.nicom import csareader
    try:
        tags = csareader.read(data)["tags"]
    except Exception:
        # a damaged header raises what it likes; without it the mosaic is refused in words
        return {}
    return {name: tuple(tag["items"]) for name, tag in tags.items() if "items" in tag}


def _numbers(tags: Mapping[str, tuple[object, ...]], name: str) -> tuple[float, ...]:
    """Finite numbers, ``()`` when absent or anything else."""
    items = tags.get(name, ())
    if not all(isinstance(v, int | float) for v in items):
        return ()
    values = tuple(float(v) for v in items if isinstance(v, int | float))
    return values if np.all(np.isfinite(values)) else ()


@lru_cache(maxsize=16)
def _slice_centres(texts: tuple[str, ...]) -> FloatArray | None:
    """Slice centres of the protocol; a component that is zero is left out there."""
    text = "\n".join(texts)
    count = _N_SLICES.search(text)
    n = int(count.group(1)) if count and len(count.group(1)) <= 4 else 0
    if not 0 < n <= MAX_SLICES:
        return None
    centres = np.zeros((n, 3))
    seen: set[int] = set()
    for number, axis, value in _POSITION.findall(text):
        if len(number) <= 4 and int(number) < n:
            centres[int(number), _AXES[axis]] = float(value)
            seen.add(int(number))
    return centres if len(seen) == n and np.all(np.isfinite(centres)) else None
