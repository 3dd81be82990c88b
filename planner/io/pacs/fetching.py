"""Find studies; fetch one into a folder, complete or with what is missing named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import ConfigError
from planner.io.pacs.query import Archive, PacsSource, Query, SeriesFound, StudyFound
from planner.io.pacs.store import InstanceStore
from planner.progress import ProgressCallback, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSeries:
    """One series after fetching."""

    series: SeriesFound
    n_received: int
    n_kept: int
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every instance that was announced is in the folder."""
        return not self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    """What a fetch brought."""

    study_uid: str
    folder: Path
    series: tuple[FetchedSeries, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return all(s.is_complete for s in self.series)


def archive_of(source: PacsSource) -> Archive:
    """The way to talk to a source."""
    if source.url:
        from planner.io.pacs.dicomweb import DicomWebArchive

        return DicomWebArchive(source)
    from planner.io.pacs.dimse import DimseArchive

    return DimseArchive(source)


def find_studies(source: PacsSource, query: Query) -> list[StudyFound]:
    """Studies that match, newest first.

    Raises
    ------
    PacsError
        If the PACS cannot be reached or refuses.
    """
    found = archive_of(source).studies(query)
    return sorted(found, key=lambda s: (s.date, s.study_uid), reverse=True)


def list_series(source: PacsSource, study_uid: str) -> list[SeriesFound]:
    """Series of a study, in the order of their numbers."""
    found = archive_of(source).series(study_uid)
    return sorted(found, key=lambda s: (s.number is None, s.number or 0, s.series_uid))


def fetch_study(
    source: PacsSource,
    study_uid: str,
    folder: Path,
    *,
    series: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> FetchResult:
    """Retrieve a study, or some of its series, into ``folder/SERIES_UID/INSTANCE_UID.dcm``.

    What is there already is kept; a series that is complete is not asked for again, so a
    broken fetch is completed by running it again.

    Parameters
    ----------
    series : sequence of str
        Series numbers or UIDs; all when empty.

    Raises
    ------
    ConfigError
        If no series answers to a name.
    PacsError
        If the PACS fails, or sends what cannot be kept. What has arrived stays.
    """
    report = progress or no_progress
    archive = archive_of(source)
    chosen = _chosen(list_series(source, study_uid), series)
    store = InstanceStore(folder, study_uid)
    done = []
    for number, one in enumerate(chosen):
        report("fetching", number / len(chosen))
        wanted = one.instance_uids
        there = {uid for uid in wanted if store.has(one.series_uid, uid)}
        before = len(store.received)
        if there != wanted or not wanted:
            archive.retrieve(study_uid, one, store.keep)
        missing = sorted(uid for uid in wanted if not store.has(one.series_uid, uid))
        done.append(
            FetchedSeries(
                series=one,
                n_received=len(store.received) - before,
                n_kept=len(there),
                missing=tuple(missing),
            )
        )
    report("fetching", 1.0)
    return FetchResult(study_uid=study_uid, folder=folder, series=tuple(done))


def _chosen(found: list[SeriesFound], names: Sequence[str]) -> list[SeriesFound]:
    if not names:
        return found
    chosen = []
    for name in names:
        hits = [s for s in found if name in (s.series_uid, str(s.number))]
        if not hits:
            known = ", ".join(f"{s.number} ({s.modality} {s.description})" for s in found)
            raise ConfigError(
                "the study has no such series", seen=name, needed=known, where="--series"
            )
        chosen += [s for s in hits if s not in chosen]
    return chosen
