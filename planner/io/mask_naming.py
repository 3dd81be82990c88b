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

from planner.errors import ConfigError, MaskError
from planner.io.label_names import LabelTable, other_tables_with
from planner.io.stored_file import StoredFile, StoredLabel, VoxelFile

MAX_NAMES_BYTES = 1_000_000
"""A list of label names is a few kB."""

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
    """Every label of a file with its name.

    Raises
    ------
    MaskError
        If the table lacks numbers of the file that another table of the same tool, or of
        another of its versions, has: then the shared numbers may mean something else too.
    """
    if table is not None:
        _require_fitting_table(stored, numbers, table)
    return [(label, _name(stored, label, numbers, table)) for label in stored.labels]


def _require_fitting_table(
    stored: StoredFile, numbers: Mapping[int, str], table: LabelTable
) -> None:
    values = [v.value for v in stored.labels if v.name is None and v.value not in numbers]
    others = other_tables_with(table, values) if len(values) > 1 else ()
    if others:
        missing = sorted(set(values) - set(table.numbers))
        raise MaskError(
            f"the label table '{table.key}' does not have all numbers of the file",
            seen="not in it: " + ", ".join(str(v) for v in missing[:20]),
            needed="the table of the task and release that made the file; these have all of them: "
            + ", ".join(t.key for t in others),
            where=stored.file,
            fix="Choose the table (--label-table), or name the numbers (--label-names FILE).",
        )


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
            given = json.loads(_text_of(Path(label_names)))
        except (OSError, ValueError, RecursionError) as error:
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


def _text_of(path: Path) -> str:
    with path.open("rb") as stream:
        content = stream.read(MAX_NAMES_BYTES + 1)
    if len(content) > MAX_NAMES_BYTES:
        raise ValueError(f"more than {MAX_NAMES_BYTES} bytes are no list of names")
    return content.decode("utf-8-sig")
