"""QIDO-RS and WADO-RS through dicomweb-client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from planner.io.pacs.query import (
    PacsError,
    PacsSource,
    Query,
    SeriesFound,
    StudyFound,
    is_uid,
    number_or_none,
    plain_text,
)

_TAGS = {
    "StudyInstanceUID": "0020000D",
    "StudyDate": "00080020",
    "StudyDescription": "00081030",
    "ModalitiesInStudy": "00080061",
    "NumberOfStudyRelatedSeries": "00201206",
    "SeriesInstanceUID": "0020000E",
    "SeriesNumber": "00200011",
    "Modality": "00080060",
    "SeriesDescription": "0008103E",
    "SOPInstanceUID": "00080018",
}


class DicomWebArchive:
    """A PACS asked through DICOMweb."""

    def __init__(self, source: PacsSource) -> None:
        from dicomweb_client.api import DICOMwebClient
        from dicomweb_client.session_utils import create_session, create_session_from_user_pass

        self._source = source
        session = create_session()
        if source.user:
            session = create_session_from_user_pass(source.user, source.password)
        headers = {"Authorization": f"Bearer {source.token}"} if source.token else None
        self._client = DICOMwebClient(
            source.url, session=session, headers=headers, timeout=source.timeout_s
        )
        self._client.set_http_retry_params(retry=False)

    def studies(self, query: Query) -> list[StudyFound]:
        """Studies that match."""
        filters = {
            "StudyInstanceUID": query.study_uid,
            "PatientID": query.patient_id,
            "AccessionNumber": query.accession,
            "StudyDate": query.study_date,
            "ModalitiesInStudy": query.modality,
        }
        answers = self._asked(
            lambda: self._client.search_for_studies(
                search_filters={k: v for k, v in filters.items() if v},
                fields=["StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries"],
            )
        )
        return [
            StudyFound(
                study_uid=_text(answer, "StudyInstanceUID"),
                date=_text(answer, "StudyDate"),
                description=_text(answer, "StudyDescription"),
                modalities=_text(answer, "ModalitiesInStudy"),
                n_series=number_or_none(_text(answer, "NumberOfStudyRelatedSeries")),
            )
            for answer in answers
            if is_uid(_text(answer, "StudyInstanceUID"))
        ]

    def series(self, study_uid: str) -> list[SeriesFound]:
        """Series of a study, with their instances."""
        answers = self._asked(
            lambda: self._client.search_for_series(
                study_uid, fields=["SeriesNumber", "SeriesDescription", "Modality"]
            )
        )
        found = []
        for answer in answers:
            uid = _text(answer, "SeriesInstanceUID")
            if not is_uid(uid):
                continue
            instances = self._asked(
                lambda uid=uid: self._client.search_for_instances(study_uid, uid)  # type: ignore[misc]
            )
            uids = (_text(item, "SOPInstanceUID") for item in instances)
            found.append(
                SeriesFound(
                    series_uid=uid,
                    number=number_or_none(_text(answer, "SeriesNumber")),
                    modality=_text(answer, "Modality"),
                    description=_text(answer, "SeriesDescription"),
                    instance_uids=frozenset(u for u in uids if is_uid(u)),
                )
            )
        return found

    def retrieve(self, study_uid: str, series: SeriesFound, keep: Callable[[bytes], None]) -> None:
        """Every instance of a series, in the transfer syntax in which it is stored."""

        def everything() -> None:
            for dataset in self._client.iter_series(
                study_uid, series.series_uid, media_types=(("application/dicom", "*"),)
            ):
                keep(_file_bytes(dataset))

        self._asked(everything)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """The answer; every way to fail as one error."""
        import requests

        try:
            return ask() or []
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            fixes = {
                401: "Give --user and a password, or a token (docs/fetch.md).",
                403: "This account may not read the study.",
                404: "Check the address: it ends where /studies begins.",
            }
            raise PacsError(
                "the DICOMweb service refuses",
                seen=f"HTTP {status}",
                where=self._source.name,
                fix=fixes.get(status if isinstance(status, int) else 0),
            ) from error
        except requests.exceptions.SSLError as error:
            raise PacsError(
                "the certificate of the DICOMweb service is not trusted", where=self._source.name
            ) from error
        except requests.exceptions.InvalidJSONError as error:
            raise self._unreadable(error) from error
        except requests.exceptions.RequestException as error:
            raise PacsError(
                "the DICOMweb service does not answer",
                seen=type(error).__name__,
                where=self._source.name,
                fix="Check the address, and that the service runs.",
            ) from error
        except PacsError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> PacsError:
        return PacsError(
            "the answer of the DICOMweb service cannot be read",
            seen=type(error).__name__,
            needed="DICOM JSON or a multipart DICOM answer",
            where=self._source.name,
            fix="Is this the root of a DICOMweb service?",
        )


def _file_bytes(dataset: Any) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _text(answer: Mapping[str, Any], name: str) -> str:
    values = (answer.get(_TAGS[name]) or {}).get("Value") or []
    return plain_text(" ".join(str(v) for v in values))
