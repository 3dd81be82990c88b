"""What each procedure asks of a path, and the needles there are: data files, checked."""

from planner.protocols.describing import EVIDENCE_LEGEND, describe_protocol, procedure_list
from planner.protocols.loading import (
    ProtocolRecord,
    list_protocols,
    load_protocol,
    read_protocol,
)
from planner.protocols.needles import load_needles, named_needle, needle_catalogue, parse_needle

__all__ = [
    "EVIDENCE_LEGEND",
    "ProtocolRecord",
    "describe_protocol",
    "list_protocols",
    "load_needles",
    "load_protocol",
    "named_needle",
    "needle_catalogue",
    "parse_needle",
    "procedure_list",
    "read_protocol",
]
