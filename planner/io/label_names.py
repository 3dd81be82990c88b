"""What the names of segmentations mean: role and anatomical class, by tool, task and NAME.

Label numbers changed between releases of every tool, so a number alone means
nothing. A number is turned into a name only by the table the user chose
(``label_table="totalspineseg"``); from then on the name decides.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from typing import Any

from planner.errors import ConfigError
from planner.model import StructureRole
from planner.model.naming import words_of

TABLE_FILES = ("totalsegmentator.toml", "totalspineseg.toml", "tptbox.toml")
GENERIC_FILE = "generic.toml"

_AT_ONCE = (StructureRole.AVOID, StructureRole.IMPLANT)
_LEVEL = re.compile(r"c[1-7]|th?(?:[1-9]|1[0-3])|l[1-6]|s[1-5]")
_MR_CONTRASTS = ("t1", "t2")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMeaning:
    """What a name stands for; ``decided_by`` goes into ``MaskSource.role_from``."""

    role: StructureRole
    structure_class: str | None
    decided_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRule:
    """Names (or patterns such as ``iliac_artery_*``) that share a role and a class."""

    names: tuple[str, ...]
    role: StructureRole
    structure_class: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """The labels of one task of one tool in one version.

    A name belongs to the table when it is one of ``numbers``' names (upper and
    lower case, blanks and hyphens do not matter); the patterns of the rules are
    applied to those names only.
    """

    tool: str
    task: str
    version: str
    source: str
    modality: str
    numbers: Mapping[int, str]
    rules: tuple[TableRule, ...]
    note: str = ""
    aliases: tuple[str, ...] = ()
    is_default_task: bool = False
    only_when_chosen: bool = False
    """Its names are too short to be recognised unless the user names the table."""
    _names: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def key(self) -> str:
        """``"TotalSegmentator/total"``."""
        return f"{self.tool}/{self.task}"

    def meaning_of(self, name: str) -> NameMeaning | None:
        """The meaning of a name of this table; None for any other name."""
        wanted = _normal(name)
        if wanted not in self._names:
            return None
        for rule in self.rules:
            if any(fnmatchcase(wanted, _normal(pattern)) for pattern in rule.names):
                return NameMeaning(
                    role=rule.role,
                    structure_class=rule.structure_class,
                    decided_by=f"table {self.key}",
                )
        return None


@lru_cache(maxsize=1)
def label_tables() -> tuple[LabelTable, ...]:
    """Every table that ships with the package."""
    return tuple(table for name in TABLE_FILES for table in _tables_of(_packaged(name)))


def label_table_named(text: str) -> LabelTable:
    """The table a user asks for, e.g. ``"TotalSegmentator/total_mr"`` or ``"spineps"``.

    Raises
    ------
    ConfigError
        If there is no such table, or the tool has several tasks and none is named.
    """
    tool, _, task = text.strip().lower().partition("/")
    of_tool = [t for t in label_tables() if tool in _names_of_tool(t)]
    chosen = [t for t in of_tool if (t.task.lower() == task if task else t.is_default_task)]
    if chosen:
        return chosen[0]
    known = [t.key for t in (of_tool or label_tables())]
    if of_tool and not task:
        what = f"the label table '{text}' needs a task"
    else:
        what = f"there is no label table '{text}'"
    raise ConfigError(what, needed="one of " + ", ".join(known), fix=_close(text, known))


def other_tables_with(table: LabelTable, values: Iterable[int]) -> tuple[LabelTable, ...]:
    """Tables of the same tool that name all of these numbers, where ``table`` does not."""
    wanted = set(values)
    if wanted <= set(table.numbers):
        return ()
    others = [t for t in label_tables() if t.tool == table.tool and t is not table]
    return tuple(t for t in others if wanted <= set(t.numbers))


def meaning_of_name(name: str, *, preferred: Iterable[LabelTable] = ()) -> NameMeaning | None:
    """What a structure's name means; None when it is not recognised.

    Tables are asked in this order: ``preferred``, all tables of known tools, the
    words of the generic table.

    Examples
    --------
    >>> meaning_of_name("iliac_artery_left").decided_by
    'table TotalSegmentator/total'
    >>> meaning_of_name("L5 root").structure_class, meaning_of_name("thing") is None
    ('nerve', True)
    """
    tables = [*preferred, *(t for t in label_tables() if not t.only_when_chosen)]
    for table in tables:
        meaning = table.meaning_of(name)
        if meaning is not None:
            return meaning
    return _generic_meaning(name)


def tables_for_names(names: Iterable[str]) -> tuple[LabelTable, ...]:
    """Tables that know at least one of the names, the one that knows most first."""
    listed = list(names)
    counts = [
        (sum(table.meaning_of(n) is not None for n in listed), table)
        for table in label_tables()
        if not table.only_when_chosen
    ]
    ranked = sorted((c for c in counts if c[0]), key=lambda c: -c[0])
    return tuple(table for _, table in ranked)


# ---------------------------------------------------------------- words of hand-made names


@dataclass(frozen=True, slots=True)
class _WordRule:
    words: frozenset[str]
    phrases: tuple[tuple[str, ...], ...]
    role: StructureRole
    structure_class: str
    alone: bool

    def matches(self, tokens: list[str]) -> bool:
        if any(token in self.words for token in tokens):
            return True
        return any(
            tuple(tokens[n : n + len(phrase)]) == phrase
            for phrase in self.phrases
            for n in range(len(tokens))
        )


@dataclass(frozen=True, slots=True)
class _WordTable:
    rules: tuple[_WordRule, ...]
    modifiers: frozenset[str]
    level_words: frozenset[str]
    known: frozenset[str]


@lru_cache(maxsize=1)
def _word_table() -> _WordTable:
    data = _packaged(GENERIC_FILE)
    rules = tuple(
        _WordRule(
            words=frozenset(rule.get("words", [])),
            phrases=tuple(tuple(p.split()) for p in rule.get("phrases", [])),
            role=StructureRole(rule["role"]),
            structure_class=rule["structure_class"],
            alone=rule.get("alone", False),
        )
        for rule in data["rules"]
    )
    modifiers = frozenset(data["modifiers"])
    level_words = frozenset(data["level_words"])
    known = modifiers.union(*(r.words for r in rules), *(p for r in rules for p in r.phrases))
    return _WordTable(rules, modifiers, level_words, known | level_words)


def _generic_meaning(name: str) -> NameMeaning | None:
    table = _word_table()
    tokens = [_folded(token, table.known) for token in words_of(name)]
    understood = all(t in table.known or _LEVEL.fullmatch(t) for t in tokens)
    for rule in table.rules:
        if not rule.matches(tokens):
            continue
        if rule.role in _AT_ONCE or (
            all(t in rule.words or t in table.modifiers for t in tokens)
            if rule.alone
            else understood
        ):
            return _generic(rule.role, rule.structure_class)
        if not understood:
            return None
    if _is_one_vertebra(tokens, table.level_words):
        return _generic(StructureRole.BONE, "bone")
    return None


def _is_one_vertebra(tokens: list[str], level_words: frozenset[str]) -> bool:
    """``L3``, ``L3 body``; but not ``L4 L5``, ``L5 left`` (a root?) or ``T2`` (a contrast?)."""
    levels = [t for t in tokens if _LEVEL.fullmatch(t)]
    if len(levels) != 1 or levels[0] in _MR_CONTRASTS:
        return False
    return all(t in level_words for t in tokens if t not in levels)


def _generic(role: StructureRole, structure_class: str) -> NameMeaning:
    return NameMeaning(role=role, structure_class=structure_class, decided_by="table generic")


def _folded(token: str, known: frozenset[str]) -> str:
    """Without a number at the end, and singular, when that makes a known word."""
    if _LEVEL.fullmatch(token):
        return token
    stem = token.rstrip("0123456789")
    if not stem:
        return "of"  # a bare number says nothing
    return next(
        (t for t in (stem, stem.removesuffix("s"), stem.removesuffix("es")) if t in known), stem
    )


# ---------------------------------------------------------------- reading the tables


def _packaged(name: str) -> dict[str, Any]:
    folder = resources.files("planner.io") / "label_tables"
    return tomllib.loads((folder / name).read_text(encoding="utf-8"))


def _tables_of(data: dict[str, Any]) -> list[LabelTable]:
    rules = tuple(
        TableRule(
            names=tuple(rule["names"]),
            role=StructureRole(rule["role"]),
            structure_class=rule["structure_class"],
            why=rule.get("why", ""),
        )
        for rule in data["rules"]
    )
    tables = []
    for task, values in data["tasks"].items():
        numbers = {int(number): name for number, name in values["numbers"].items()}
        tables.append(
            LabelTable(
                tool=data["tool"],
                task=task,
                version=values.get("version", data["version"]),
                source=data["source"],
                modality=values["modality"],
                numbers=numbers,
                rules=rules,
                note=values.get("note", ""),
                aliases=tuple(data.get("aliases", ())),
                is_default_task=task == data.get("default_task"),
                only_when_chosen=values.get("only_when_chosen", False),
                _names=frozenset(_normal(name) for name in numbers.values()),
            )
        )
    return tables


def _names_of_tool(table: LabelTable) -> set[str]:
    return {table.tool.lower(), *(alias.lower() for alias in table.aliases)}


def _normal(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip()).casefold()


def _close(text: str, known: list[str]) -> str:
    near = difflib.get_close_matches(text.lower(), [k.lower() for k in known], n=1)
    found = [k for k in known if near and k.lower() == near[0]]
    return f"Did you mean '{found[0]}'?" if found else ""
