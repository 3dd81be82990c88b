"""The skin: the body mask of an image and the entry candidates on its outer surface."""

from planner.skin.body import BodyMask, find_body, imaged_around
from planner.skin.end_words import FACES
from planner.skin.surface import SkinEntries, skin_entries

__all__ = ["FACES", "BodyMask", "SkinEntries", "find_body", "imaged_around", "skin_entries"]
