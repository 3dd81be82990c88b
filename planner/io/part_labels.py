"""Texts that tell the parts of one series from each other: ``"b=400"``, ``"TE=7.0 ms, phase"``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

ImageKey = tuple[tuple[str, ...], str]
"""Image Type values and the kind of a complex image (``"phase"`` or ``""``)."""

_KIND = "kind of complex image: "

_TOKEN_NAMES = {
    "M": "magnitude",
    "P": "phase",
    "R": "real",
    "I": "imaginary",
    "W": "water",
    "WATER": "water",
    "F": "fat",
    "FAT": "fat",
    "IP": "in phase",
    "IN_PHASE": "in phase",
    "OP": "out of phase",
    "OPP_PHASE": "out of phase",
    "OUT_PHASE": "out of phase",
    "ADC": "ADC",
    "FA": "FA",
    "TRACEW": "trace",
}


def number_labels(
    pattern: str, decimals: int
) -> Callable[[Sequence[Hashable]], dict[Hashable, str]]:
    """Labels such as ``TE=7.0 ms``, with just enough decimals to differ.

    ``pattern`` has one ``{}`` for the number; an absent value reads "not given".
    """

    def labels(values: Sequence[Hashable]) -> dict[Hashable, str]:
        for places in range(decimals, 7):
            texts = {v: pattern.format(_number_text(v, places)) for v in values}
            if len(set(texts.values())) == len(texts):
                return texts
        return {v: pattern.format(v) for v in values}

    return labels


def _number_text(value: Hashable, places: int) -> str:
    return f"{value:.{places}f}" if isinstance(value, int | float) else "not given"


def rank_labels(pattern: str) -> Callable[[Sequence[Hashable]], dict[Hashable, str]]:
    """Labels such as ``time 2 of 5``; ``pattern`` has two ``{}``, rank and number of values."""

    def labels(values: Sequence[Hashable]) -> dict[Hashable, str]:
        return {v: pattern.format(rank, len(values)) for rank, v in enumerate(values, 1)}

    return labels


def image_type_labels(values: Sequence[Hashable]) -> dict[Hashable, str]:
    """Labels such as ``phase`` or ``NORM`` from the Image Type values that differ."""
    keys = {v: _tokens(v) for v in values}
    common = set.intersection(*(set(t) for t in keys.values()))
    every = set.union(*(set(t) for t in keys.values()))
    texts: dict[Hashable, str] = {}
    for value, tokens in keys.items():
        own = [t for t in dict.fromkeys(tokens) if t not in common]
        known = [t.removeprefix(_KIND) for t in own if t.startswith(_KIND)]
        known += [_TOKEN_NAMES[t] for t in own if t in _TOKEN_NAMES]
        if known or own:
            texts[value] = " ".join(dict.fromkeys(known or own))
        else:
            texts[value] = "without " + " ".join(sorted(every - set(tokens)))
    if len(set(texts.values())) < len(texts):
        return {v: "\\".join(tokens) for v, tokens in keys.items()}
    return texts


def _tokens(value: Hashable) -> tuple[str, ...]:
    if not isinstance(value, tuple):
        return ()
    image_type, kind = value
    return (*image_type, f"{_KIND}{kind}") if kind else tuple(image_type)
