"""``needle-planner fetch``: from a PACS into a folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.console import Console
from planner.cli.runner import ExitCode
from planner.errors import ConfigError, InputError

if TYPE_CHECKING:
    from planner.io.pacs import FetchResult, PacsSource, SeriesFound, StudyFound

PASSWORD_VARIABLE = "NEEDLE_PLANNER_DICOMWEB_PASSWORD"
TOKEN_VARIABLE = "NEEDLE_PLANNER_DICOMWEB_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """What the command line says."""

    node: str | None
    dicomweb: str | None
    user: str | None
    own_aet: str
    method: str
    move_host: str
    move_port: int
    timeout_s: float
    patient_id: str
    study: str
    accession: str
    study_date: str
    modality: str
    series: tuple[str, ...]
    out: Path | None
    only_list: bool


def run_fetch(console: Console, request: FetchRequest, *, as_json: bool) -> ExitCode:
    """List what matches; with one study and a folder, fetch it."""
    from planner.io.pacs import Query, fetch_study, find_studies

    source = _source(request)
    query = Query(
        patient_id=request.patient_id,
        study_uid=request.study,
        accession=request.accession,
        study_date=request.study_date,
        modality=request.modality,
    )
    with console.stage("asking the archive"):
        studies = find_studies(source, query)
    if not studies:
        console.result(_json({"studies": []}) if as_json else "no study matches")
        return ExitCode.NOT_FEASIBLE
    if request.only_list or request.out is None or len(studies) > 1:
        return _listed(console, request, source, studies, as_json=as_json)
    with console.stage("fetching") as progress:
        result = fetch_study(
            source,
            studies[0].study_uid,
            request.out,
            series=request.series,
            progress=progress,
        )
    console.result(_json(_result_dict(result)) if as_json else _result_text(result))
    if not result.is_complete:
        n_missing = sum(len(s.missing) for s in result.series)
        raise InputError(
            "the archive did not send everything",
            seen=f"{n_missing} instances missing",
            where=source.name,
            fix="Run the same command again: what has arrived is kept.",
        )
    return ExitCode.OK


def _source(request: FetchRequest) -> PacsSource:
    from planner.io.pacs import PacsSource

    more = {
        "own_aet": request.own_aet,
        "method": request.method,
        "move_host": request.move_host,
        "move_port": request.move_port,
        "timeout_s": request.timeout_s,
    }
    if (request.node is None) == (request.dicomweb is None):
        raise ConfigError(
            "one place to fetch from is needed", needed="--from AET@HOST:PORT or --dicomweb URL"
        )
    if request.node is not None:
        return PacsSource.at(request.node, **more)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if request.user and not password:
        raise ConfigError(
            "there is no password for --user",
            needed=f"the environment variable {PASSWORD_VARIABLE}",
        )
    return PacsSource(
        url=request.dicomweb or "",
        timeout_s=request.timeout_s,
        user=request.user or "",
        password=password,
        token=os.environ.get(TOKEN_VARIABLE, ""),
    )


def _listed(
    console: Console,
    request: FetchRequest,
    source: PacsSource,
    studies: list[StudyFound],
    *,
    as_json: bool,
) -> ExitCode:
    from planner.io.pacs.fetching import list_series

    series: list[SeriesFound] = []
    if len(studies) == 1:
        with console.stage("asking for its series"):
            series = list_series(source, studies[0].study_uid)
    listed = [_study_dict(s) for s in studies]
    if series:
        listed[0]["series"] = [_series_dict(s) for s in series]
    content: dict[str, object] = {"studies": listed}
    console.result(_json(content) if as_json else _list_text(studies, series))
    if len(studies) > 1 and request.out is not None and not request.only_list:
        raise ConfigError(
            f"{len(studies)} studies match: nothing was fetched",
            needed="one study",
            fix="Say which with --study UID.",
        )
    return ExitCode.OK


def _list_text(studies: list[StudyFound], series: list[SeriesFound]) -> str:
    lines = [f"{len(studies)} stud{'y' if len(studies) == 1 else 'ies'} found"]
    for study in studies:
        what = " ".join(filter(None, (study.date, study.modalities, f"'{study.description}'")))
        lines.append(f"  {what}: --study {study.study_uid}")
    for one in series:
        n = len(one.instance_uids)
        number = "-" if one.number is None else one.number
        lines.append(
            f"    --series {number}  {one.modality} '{one.description}' "
            f"({n} instance{'' if n == 1 else 's'}) {one.series_uid}"
        )
    return "\n".join(lines)


def _result_text(result: FetchResult) -> str:
    lines = []
    for item in result.series:
        n_wanted = len(item.series.instance_uids)
        state = "complete" if item.is_complete else f"{len(item.missing)} MISSING"
        lines.append(
            f"series {item.series.number} {item.series.modality} '{item.series.description}': "
            f"{item.n_received} received, {item.n_kept} already there, of {n_wanted}: {state}"
        )
    lines.append(f"next: needle-planner inspect {result.folder}")
    return "\n".join(lines)


def _study_dict(study: StudyFound) -> dict[str, object]:
    return {
        "study_instance_uid": study.study_uid,
        "study_date": study.date,
        "description": study.description,
        "modalities": study.modalities,
        "n_series": study.n_series,
    }


def _series_dict(series: SeriesFound) -> dict[str, object]:
    return {
        "series_instance_uid": series.series_uid,
        "series_number": series.number,
        "modality": series.modality,
        "description": series.description,
        "n_instances": len(series.instance_uids),
    }


def _result_dict(result: FetchResult) -> dict[str, object]:
    return {
        "study_instance_uid": result.study_uid,
        "complete": result.is_complete,
        "series": [
            {
                **_series_dict(item.series),
                "received": item.n_received,
                "already_there": item.n_kept,
                "missing": list(item.missing),
            }
            for item in result.series
        ],
    }


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)
