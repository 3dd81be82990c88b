"""The words that a structure's name is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD_STARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[0-9])(?=[A-Za-z])")


def words_of(name: str) -> list[str]:
    """The lower-case words of a name.

    Examples
    --------
    >>> words_of("nerveRoot_L5-S1"), words_of("SIJoint left"), words_of("L4L5 disc")
    (['nerve', 'root', 'l5', 's1'], ['si', 'joint', 'left'], ['l4', 'l5', 'disc'])
    """
    split = _WORD_STARTS.sub(" ", name)
    return [word for word in re.split(r"[\W_]+", split.casefold()) if word]


_PLACES = re.compile(r"(?:th|[clts])\d{1,2}|left|right|l|r")


def is_named_just(name: str, phrases: Iterable[str]) -> bool:
    """Whether a name is one of the phrases, with a level or a side and nothing else.

    Examples
    --------
    >>> is_named_just("dorsal_foramen_S1_left", ["dorsal foramen"])
    True
    >>> is_named_just("S1_nerve_root_in_dorsal_foramen_left", ["dorsal foramen"])
    False
    """

    def words(text: str) -> list[str]:
        return [word for word in words_of(text) if not _PLACES.fullmatch(word)]

    return any(words(name) == wanted for phrase in phrases if (wanted := words(phrase)))


def holds_words(name: str, phrases: Iterable[str]) -> bool:
    """Whether a name holds one of the words or phrases, word by word.

    Examples
    --------
    >>> holds_words("aorta_abdominal", ["aorta"]), holds_words("paraaortic nodes", ["aorta"])
    (True, False)
    >>> holds_words("left iliac crest", ["iliac crest"])
    True
    """
    words = words_of(name)
    for phrase in phrases:
        wanted = words_of(phrase)
        if any(words[n : n + len(wanted)] == wanted for n in range(len(words))):
            return bool(wanted)
    return False
