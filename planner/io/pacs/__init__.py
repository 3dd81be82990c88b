"""Fetching a study from a PACS: DIMSE (C-FIND, C-GET, C-MOVE) or DICOMweb (QIDO, WADO).

What is found is described without a patient's name, birth date or institution.
"""

from planner.io.pacs.fetching import FetchedSeries, FetchResult, fetch_study, find_studies
from planner.io.pacs.query import PacsSource, Query, SeriesFound, StudyFound

__all__ = [
    "FetchResult",
    "FetchedSeries",
    "PacsSource",
    "Query",
    "SeriesFound",
    "StudyFound",
    "fetch_study",
    "find_studies",
]
