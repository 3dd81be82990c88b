"""Names for the labels of one mask file.

In this order: the name in the file; for a file with one label that is only yes or
no, its stem; the number in the user's own list; the number in the table the user
chose; the stem for a lone label; else the stem with the number, which says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.errors import ConfigError
from planner.io.label_names import LabelTable
from planner.io.stored_file import StoredFile, StoredLabel, VoxelFile

_YES_VALUES = (1, 255)
"""What yes/no masks store; in such a file the number is no label."""

_SLICER_DEFAULT = re.compile(r"Segment_\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelName:
    """A name and where it is from.

    ``is_known`` is False for a number without a name: such a name must not be
    looked up, the stem in it was not meant for this label. ``by_user`` tells a name
    from the user's own list; ``tool`` is set where numbers were turned into names.
    """

    name: str
    is_known: bool = True
    by_user: bool = False
    tool: str | None = None


def names_of_labels(
    stored: StoredFile, numbers: Mapping[int, str], table: LabelTable | None
) -> list[tuple[StoredLabel, LabelName]]:
    """Every label of a file with its name."""
    return [(label, _name(stored, label, numbers, table)) for label in stored.labels]


def _name(
    stored: StoredFile, label: StoredLabel, numbers: Mapping[int, str], table: LabelTable | None
) -> LabelName:
    lone = len(stored.labels) == 1
    if label.name is not None and not (lone and _SLICER_DEFAULT.fullmatch(label.name)):
        return LabelName(name=label.name)
    if lone and (label.value in _YES_VALUES or label.name is not None):
        return LabelName(name=stored.stem)
    if label.value in numbers:
        return LabelName(name=numbers[label.value], by_user=True, tool="label names of the user")
    if table is not None and label.value in table.numbers:
        tool = f"{table.key} ({table.version}), numbers read as the user said"
        return LabelName(name=table.numbers[label.value], tool=tool)
    if lone:
        return LabelName(name=stored.stem)
    n_layers = len(stored.layers) if isinstance(stored, VoxelFile) else 1
    layer = f"layer{label.layer}_" if n_layers > 1 else ""
    return LabelName(name=f"{stored.stem}_{layer}{label.value}", is_known=False)


def read_label_names(label_names: str | Path | Mapping[int, str] | None) -> dict[int, str]:
    """The user's own number-to-name list, from a dict or a JSON file ``{"1": "aorta"}``.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not such a list.
    """
    if label_names is None:
        return {}
    where = "label_names"
    given: object = label_names
    if isinstance(label_names, str | Path):
        where = str(label_names)
        try:
            given = json.loads(Path(label_names).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                "the file of label names cannot be read", seen=str(error), where=where
            ) from error
    if not isinstance(given, Mapping):
        raise ConfigError("label names must map numbers to names", seen=given, where=where)
    names: dict[int, str] = {}
    for number, name in given.items():
        try:
            value = int(number)
        except (TypeError, ValueError):
            value = -1
        if value < 0 or not isinstance(name, str) or not name.strip():
            raise ConfigError(
                "label names must map numbers to names",
                seen=f"{number!r}: {name!r}",
                needed='for example {"1": "aorta"}',
                where=where,
            )
        names[value] = name.strip()
    return names
