"""C-FIND, C-GET and C-MOVE through pynetdicom."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

_PENDING = (0xFF00, 0xFF01)
_SUCCESS = 0x0000
MAX_CONTEXTS = 128
"""Presentation contexts one association may propose."""

_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_COMPRESSED = (
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
)
_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.7",
)
"""MR, enhanced and legacy converted MR, the same for CT, segmentation, secondary capture."""

_OTHERS = (
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.66",
    "1.2.840.10008.5.1.4.1.1.88.11",
    "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.11.1",
    "1.2.840.10008.5.1.4.1.1.4.2",
)
"""Label map, RT structure set, raw data, reports, presentation state, spectroscopy."""


class DimseArchive:
    """A PACS node asked through DIMSE."""

    def __init__(self, source: PacsSource) -> None:
        self._source = source

    def studies(self, query: Query) -> list[StudyFound]:
        """Studies that match."""
        keys = _keys(
            QueryRetrieveLevel="STUDY",
            StudyInstanceUID=query.study_uid,
            PatientID=query.patient_id,
            AccessionNumber=query.accession,
            StudyDate=query.study_date,
            ModalitiesInStudy=query.modality,
            StudyDescription="",
            NumberOfStudyRelatedSeries="",
        )
        return [
            StudyFound(
                study_uid=str(answer.get("StudyInstanceUID", "")),
                date=plain_text(answer.get("StudyDate", "")),
                description=plain_text(answer.get("StudyDescription", "")),
                modalities=_joined(answer.get("ModalitiesInStudy", "")),
                n_series=number_or_none(answer.get("NumberOfStudyRelatedSeries")),
            )
            for answer in self._find(keys)
            if is_uid(str(answer.get("StudyInstanceUID", "")))
        ]

    def series(self, study_uid: str) -> list[SeriesFound]:
        """Series of a study, with their instances."""
        keys = _keys(
            QueryRetrieveLevel="SERIES",
            StudyInstanceUID=study_uid,
            SeriesInstanceUID="",
            SeriesNumber="",
            Modality="",
            SeriesDescription="",
        )
        found = []
        for answer in self._find(keys):
            uid = str(answer.get("SeriesInstanceUID", ""))
            if not is_uid(uid):
                continue
            found.append(
                SeriesFound(
                    series_uid=uid,
                    number=number_or_none(answer.get("SeriesNumber")),
                    modality=plain_text(answer.get("Modality", "")),
                    description=plain_text(answer.get("SeriesDescription", "")),
                    instance_uids=self._instances(study_uid, uid),
                )
            )
        return found

    def retrieve(self, study_uid: str, series: SeriesFound, keep: Callable[[bytes], None]) -> None:
        """Every instance of a series, by C-GET or C-MOVE."""
        keys = _keys(
            QueryRetrieveLevel="SERIES",
            StudyInstanceUID=study_uid,
            SeriesInstanceUID=series.series_uid,
        )
        if self._source.method == "move":
            self._move(keys, keep)
        else:
            self._get(keys, keep)

    def _instances(self, study_uid: str, series_uid: str) -> frozenset[str]:
        keys = _keys(
            QueryRetrieveLevel="IMAGE",
            StudyInstanceUID=study_uid,
            SeriesInstanceUID=series_uid,
            SOPInstanceUID="",
        )
        uids = (str(answer.get("SOPInstanceUID", "")) for answer in self._find(keys))
        return frozenset(uid for uid in uids if is_uid(uid))

    def _find(self, keys: Any) -> list[Any]:
        model = "1.2.840.10008.5.1.4.1.2.2.1"  # study root, find
        with self._associated([model]) as association:
            answers = []
            for status, answer in association.send_c_find(keys, model):
                self._check_status(status, "C-FIND")
                if status.Status in _PENDING and answer is not None:
                    answers.append(answer)
        return answers

    def _get(self, keys: Any, keep: Callable[[bytes], None]) -> None:
        from pynetdicom import build_role, evt

        failures: list[BaseException] = []
        handlers = [(evt.EVT_C_STORE, _storing(keep, failures))]
        model = "1.2.840.10008.5.1.4.1.2.2.3"  # study root, get
        roles = [build_role(uid, scp_role=True) for uid in (*_IMAGES, *_OTHERS)]
        with self._associated([model], storage=True, roles=roles, handlers=handlers) as association:
            for status, _ in association.send_c_get(keys, model):
                self._check_status(status, "C-GET", allow_partial=True)
        if failures:
            raise failures[0]

    def _move(self, keys: Any, keep: Callable[[bytes], None]) -> None:
        from pynetdicom import AE, evt

        failures: list[BaseException] = []
        receiver = AE(ae_title=self._source.own_aet)
        for uid in (*_IMAGES, *_OTHERS):
            receiver.add_supported_context(uid, [*_UNCOMPRESSED, *_COMPRESSED])
        address = (self._source.move_host, self._source.move_port)
        try:
            server = receiver.start_server(
                address, block=False, evt_handlers=[(evt.EVT_C_STORE, _storing(keep, failures))]
            )
        except OSError as error:
            raise PacsError(
                "our receiver for C-MOVE cannot listen",
                seen=error.strerror,
                where=f"{address[0]}:{address[1]}",
                fix="Choose another --move-port.",
            ) from error
        model = "1.2.840.10008.5.1.4.1.2.2.2"  # study root, move
        try:
            with self._associated([model]) as association:
                for status, _ in association.send_c_move(keys, self._source.own_aet, model):
                    self._check_status(status, "C-MOVE", allow_partial=True)
        finally:
            server.shutdown()
        if failures:
            raise failures[0]

    @contextmanager
    def _associated(
        self,
        models: list[str],
        *,
        storage: bool = False,
        roles: list[Any] | None = None,
        handlers: list[Any] | None = None,
    ) -> Iterator[Any]:
        from pynetdicom import AE

        source = self._source
        entity = AE(ae_title=source.own_aet)
        entity.connection_timeout = entity.acse_timeout = source.timeout_s
        entity.dimse_timeout = entity.network_timeout = source.timeout_s
        for model in models:
            entity.add_requested_context(model)
        contexts = list(entity.requested_contexts)
        if storage:
            contexts += _storage_contexts()[: MAX_CONTEXTS - len(contexts)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                association = entity.associate(
                    source.host,
                    source.port,
                    contexts=contexts,
                    ae_title=source.aet,
                    ext_neg=roles or [],
                    evt_handlers=handlers or [],
                )
        except OSError as error:
            raise PacsError(
                "the PACS does not answer",
                seen=error.strerror or type(error).__name__,
                where=source.name,
                fix="Check the name of the host.",
            ) from error
        if not association.is_established:
            raise self._not_connected(association)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            else:
                association.abort()

    def _not_connected(self, association: Any) -> PacsError:
        if association.is_rejected:
            return PacsError(
                "the PACS refuses the association",
                seen=f"called {self._source.aet}, calling {self._source.own_aet}",
                where=self._source.name,
                fix="Check both application entity titles (--from AET@..., --aet) and whether "
                "the PACS knows this one.",
            )
        return PacsError(
            "the PACS does not answer",
            seen=f"no association within {self._source.timeout_s:g} s",
            where=self._source.name,
            fix="Check host and port, and that the PACS runs.",
        )

    def _check_status(self, status: Any, what: str, *, allow_partial: bool = False) -> None:
        code = status.get("Status") if status else None
        if code is None:
            raise PacsError(
                f"the PACS stopped answering during {what}",
                seen=f"nothing within {self._source.timeout_s:g} s",
                where=self._source.name,
                fix="Run again: what has arrived is kept.",
            )
        is_warning = 0xB000 <= code <= 0xBFFF
        if code in (_SUCCESS, *_PENDING) or (allow_partial and is_warning):
            return
        comment = plain_text(status.get("ErrorComment", ""))
        meaning = {
            0xA801: "it does not know us as a destination of C-MOVE",
            0xA701: "it is out of resources",
            0xA702: "it is out of resources",
            0x0122: "it does not support this",
        }.get(code, comment)
        raise PacsError(
            f"the PACS reports a failure of {what}",
            seen=f"status 0x{code:04X}" + (f": {meaning}" if meaning else ""),
            where=self._source.name,
            fix="For C-MOVE the PACS must list our --aet with this host and --move-port."
            if what == "C-MOVE"
            else None,
        )


def _storing(keep: Callable[[bytes], None], failures: list[BaseException]) -> Callable[[Any], int]:
    """A handler that writes what arrives; what went wrong is raised after the transfer."""

    def handle(event: Any) -> int:
        try:
            keep(event.encoded_dataset())
        except Exception as error:
            failures.append(error)
            return 0xA700
        return _SUCCESS

    return handle


def _storage_contexts() -> list[Any]:
    """Each image class once per transfer syntax, so the PACS need not convert."""
    from pynetdicom import build_context

    contexts = [build_context(uid, list(_UNCOMPRESSED)) for uid in (*_IMAGES, *_OTHERS)]
    contexts += [build_context(uid, [syntax]) for uid in _IMAGES for syntax in _COMPRESSED]
    return contexts


def _keys(**values: str) -> Any:
    from pydicom.dataset import Dataset

    keys = Dataset()
    keys.SpecificCharacterSet = "ISO_IR 192"
    for name, value in values.items():
        setattr(keys, name, value)
    return keys


def _joined(value: Any) -> str:
    many = [value] if isinstance(value, str) else list(value or [])
    return plain_text(" ".join(str(v) for v in many))
