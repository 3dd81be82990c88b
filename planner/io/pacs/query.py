"""What is asked of a PACS and what it answers, as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from planner.errors import ConfigError, InputError

UID = re.compile(r"[0-9]+(\.[0-9]+)*")
MAX_UID = 64
_DATE = re.compile(r"[0-9]{8}(-([0-9]{8})?)?|-[0-9]{8}")
_NETWORK = re.compile(r"(?P<aet>[^@\s\\]{1,16})@(?P<host>[^@:\s]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d+)")
MAX_TEXT = 64


class PacsError(InputError):
    """The PACS cannot be reached, refuses, or did not send everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Keys of a search; at least one must be given."""

    patient_id: str = ""
    study_uid: str = ""
    accession: str = ""
    study_date: str = ""
    modality: str = ""

    def __post_init__(self) -> None:
        if not any((self.patient_id, self.study_uid, self.accession, self.study_date)):
            raise ConfigError(
                "nothing to look for",
                needed="--study, --patient-id, --accession or --study-date",
                fix="A search without a key would list the whole archive.",
            )
        if self.study_uid:
            require_uid(self.study_uid, "--study")
        if self.study_date and not _DATE.fullmatch(self.study_date):
            raise ConfigError(
                "the study date cannot be read",
                seen=self.study_date,
                needed="YYYYMMDD or YYYYMMDD-YYYYMMDD",
                where="--study-date",
            )
        for name, value in (("--patient-id", self.patient_id), ("--accession", self.accession)):
            if len(value) > MAX_TEXT or not value.isprintable() or "\\" in value:
                raise ConfigError("the key cannot be searched for", seen=value[:80], where=name)
            if "*" in value or "?" in value:
                raise ConfigError(
                    "wildcards are not searched for", seen=value, needed="the whole key", where=name
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFound:
    """One study of an answer."""

    study_uid: str
    date: str
    description: str
    modalities: str
    n_series: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFound:
    """One series of a study, with the instances the PACS says it has."""

    series_uid: str
    number: int | None
    modality: str
    description: str
    instance_uids: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsSource:
    """Where to fetch from: a DIMSE node or a DICOMweb address.

    Attributes
    ----------
    aet, host, port
        The node (``AET@HOST:PORT``); empty for DICOMweb.
    url : str
        Root of the DICOMweb service; empty for DIMSE.
    own_aet : str
        What we call ourselves.
    method : ``"get"`` or ``"move"``
    move_host, move_port
        Address on which our receiver for C-MOVE listens; the PACS must know it.
    timeout_s : float
        For each answer.
    user, password, token
        For DICOMweb; never logged.
    """

    aet: str = ""
    host: str = ""
    port: int = 0
    url: str = ""
    own_aet: str = "NEEDLEPLAN"
    method: str = "get"
    move_host: str = "127.0.0.1"
    move_port: int = 11113
    timeout_s: float = 10.0
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.aet):
            raise ConfigError(
                "one place to fetch from is needed", needed="--from AET@HOST:PORT or --dicomweb URL"
            )
        if self.url and not re.match(r"https?://[^/\s]+", self.url):
            raise ConfigError(
                "this is no DICOMweb address",
                seen=without_userinfo(self.url),
                needed="http://HOST/... or https://HOST/...",
                where="--dicomweb",
            )
        if not (0.1 <= self.timeout_s <= 3600.0):
            raise ConfigError(
                "the timeout is out of range",
                seen=self.timeout_s,
                needed="0.1 to 3600 s",
                where="--timeout",
            )
        if not re.fullmatch(r"[ -\[\]-~]{1,16}", self.own_aet.strip() or "\\"):
            raise ConfigError(
                "this is no application entity title",
                seen=self.own_aet,
                needed="1 to 16 characters",
                where="--aet",
            )

    @classmethod
    def at(cls, text: str, **more: Any) -> PacsSource:
        """From ``AET@HOST:PORT``.

        Raises
        ------
        ConfigError
            If the text has another form.
        """
        match = _NETWORK.fullmatch(text.strip())
        port = int(match["port"]) if match else 0
        if match is None or not (0 < port < 65536):
            raise ConfigError(
                "this is no DICOM node",
                seen=text,
                needed="AET@HOST:PORT, for example ORTHANC@127.0.0.1:4242",
                where="--from",
            )
        return cls(aet=match["aet"], host=match["host"].strip("[]"), port=port, **more)

    @property
    def name(self) -> str:
        """For messages."""
        return without_userinfo(self.url) or f"{self.aet}@{self.host}:{self.port}"


def without_userinfo(url: str) -> str:
    """An address that may be shown: without the user and password it may hold."""
    return re.sub(r"^([a-z]+://)?.*@", r"\1", url, flags=re.IGNORECASE)


class Archive(Protocol):
    """What both ways of talking to a PACS can do."""

    def studies(self, query: Query) -> list[StudyFound]:
        """Studies that match."""

    def series(self, study_uid: str) -> list[SeriesFound]:
        """Series of a study, with their instances."""

    def retrieve(self, study_uid: str, series: SeriesFound, keep: Any) -> None:
        """Sends each instance of a series, as the bytes of a DICOM file, to ``keep``."""


def require_uid(text: str, where: str) -> str:
    """The text, if it is a UID.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if not is_uid(text):
        raise ConfigError("this is no DICOM UID", seen=text[:80], where=where)
    return text


def is_uid(text: str) -> bool:
    """Whether a text is a UID: safe as a file name."""
    return len(text) <= MAX_UID and UID.fullmatch(text) is not None


def plain_text(value: object) -> str:
    """A text of the PACS on one line, without control characters, of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in str(value or ""))
    return " ".join(text.split())[:MAX_TEXT]


def number_or_none(value: object) -> int | None:
    """An integer, None where it is none."""
    try:
        return int(str(value))
    except ValueError:
        return None
