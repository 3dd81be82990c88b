"""OpenIGTLink messages: known bytes, and what must be refused."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError, OutputError
from planner.exports import igtl_messages as igtl
from planner.exports.igtl_plan import Thickness, plan_messages, ras_from_needle
from planner.exports.plan_to_export import plan_to_export
from tests.igtl_peer import taken_apart


def bitwise_crc64(content: bytes) -> int:
    """The definition, one bit at a time."""
    value = 0
    for byte in content:
        value ^= byte << 56
        for _ in range(8):
            value = (value << 1) ^ (igtl._POLYNOMIAL if value >> 63 else 0)
            value &= 2**64 - 1
    return value


def test_crc_of_the_catalogue() -> None:
    """CRC-64/ECMA-182 check value."""
    assert igtl.crc64(b"123456789") == 0x6C40DF5F0B497347


@given(content=st.binary(max_size=200))
def test_crc_by_its_definition(content: bytes) -> None:
    assert igtl.crc64(content) == bitwise_crc64(content)


def test_a_damaged_body_is_refused() -> None:
    ((header, body),) = taken_apart(igtl.message("STRING", "a", igtl.string_body("path 1")))
    with pytest.raises(InputError, match="STRING message is damaged"):
        igtl.check_body(header, bytes([body[0], body[1] ^ 1]) + body[2:])


def test_header_of_version_1_with_a_time_stamp() -> None:
    content = igtl.message("TRAJ", "NeedlePlan", b"xyz", time_s=1234567890.5)
    version, kind, device, stamp, size, crc = struct.unpack_from(">H12s20sQQQ", content)
    assert (version, kind.rstrip(b"\0"), device.rstrip(b"\0")) == (1, b"TRAJ", b"NeedlePlan")
    assert stamp == (1234567890 << 32) + 2**31
    assert (size, crc) == (3, bitwise_crc64(b"xyz"))


def test_a_device_name_is_never_cut() -> None:
    assert igtl.message("TRAJ", "x" * 20, b"")
    with pytest.raises(OutputError, match="device name is too long"):
        igtl.message("TRAJ", "x" * 21, b"")


@pytest.mark.parametrize("content", [b"HTTP/1.1 400 Bad Request".ljust(58), bytes(58)])
def test_other_protocols_are_told_apart(content: bytes) -> None:
    with pytest.raises(InputError, match="no OpenIGTLink message"):
        igtl.read_header(content)


def test_a_body_too_large_is_refused() -> None:
    huge = igtl.HEADER.pack(1, b"TRAJ", b"x", 0, igtl.MAX_BODY_BYTES + 1, 0)
    with pytest.raises(InputError, match="no OpenIGTLink message"):
        igtl.read_header(huge)


def test_a_short_status_is_refused() -> None:
    with pytest.raises(InputError, match="too short"):
        igtl.read_status(b"\0\1")


# --- of a plan ---------------------------------------------------------------------------------

FLIP = np.array([-1.0, -1.0, 1.0])


def test_points_are_ras_in_every_kind(write_plan: Any) -> None:
    plan = plan_to_export(write_plan(), ranks=(2,))
    path = plan.paths[0]
    entry, tip = FLIP * path.entry_lps_mm, FLIP * path.tip_lps_mm
    found = {kind: taken_apart(m[0])[0][1] for kind, m in plan_messages(plan).items()}
    trajectory = struct.unpack(">64s32sBx4B3f3ff20s", found["TRAJ"])
    assert trajectory[0].rstrip(b"\0") == b"path 2"
    assert trajectory[2] == 3  # entry and target
    assert trajectory[7:10] == pytest.approx(entry, abs=1e-4)
    assert trajectory[10:13] == pytest.approx(tip, abs=1e-4)
    assert trajectory[13] == 0.0
    points = list(struct.iter_unpack(">64s32s4B3ff20s", found["POINT"]))
    assert [p[0].rstrip(b"\0") for p in points] == [b"path 2 entry", b"path 2 tip"]
    assert points[0][6:9] == pytest.approx(entry, abs=1e-4)
    assert points[1][6:9] == pytest.approx(tip, abs=1e-4)
    columns = np.array(struct.unpack(">12f", found["TRANSFORM"])).reshape(4, 3)
    assert columns[3] == pytest.approx(tip, abs=1e-4)
    assert columns[2] == pytest.approx((tip - entry) / np.linalg.norm(tip - entry), abs=1e-6)
    line = np.frombuffer(found["POLYDATA"], ">f4", 6, 40).reshape(2, 3)
    assert line == pytest.approx(np.array([entry, tip]), abs=1e-4)
    assert plan.sha256[:12].encode() in found["STRING"]
    for part in ("frame of reference", "series", "verdict pass", "Research use only"):
        assert part.encode() in found["STRING"]


@given(
    entry=st.tuples(*[st.floats(-300, 300)] * 3),
    way=st.tuples(*[st.floats(-200, 200)] * 3).filter(lambda w: np.linalg.norm(w) > 1),
)
def test_needle_frame_is_rigid_and_right_handed(entry: Any, way: Any) -> None:
    entry_ras_mm, tip_ras_mm = np.array(entry), np.array(entry) + way
    found = ras_from_needle(entry_ras_mm, tip_ras_mm)
    np.testing.assert_allclose(found[:3, :3].T @ found[:3, :3], np.eye(3), atol=1e-9)
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1.0)
    length_mm = np.linalg.norm(tip_ras_mm - entry_ras_mm)
    np.testing.assert_allclose(found @ [0, 0, -length_mm, 1], [*entry_ras_mm, 1], atol=1e-9)


@pytest.mark.parametrize(("thickness", "share"), [("none", 0), ("diameter", 1), ("radius", 0.5)])
def test_thickness_is_said_only_when_asked(write_plan: Any, thickness: str, share: float) -> None:
    plan = plan_to_export(write_plan(), ranks=(1,))
    ((_, body),) = taken_apart(plan_messages(plan, thickness=Thickness(thickness))["TRAJ"][0])
    sent = struct.unpack_from(">f", body, 126)[0]
    assert sent == pytest.approx(share * plan.document.needle.outer_diameter_mm)


def test_unverified_is_in_every_name(write_plan: Any) -> None:
    file = write_plan(lambda plan: plan.update(verdict="unknown"))
    plan = plan_to_export(file, even_if_unknown=True)
    for kind, messages in plan_messages(plan).items():
        for content in messages:
            ((header, body),) = taken_apart(content)
            assert header.device.startswith("UNVERIFIED"), kind
            assert kind in ("TRANSFORM", "POLYDATA") or b"UNVERIFIED" in body


def test_device_names_fit_for_the_largest_rank(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        plan["trajectories"][2]["rank"] = 1000
        plan["verdict"] = "unknown"

    plan = plan_to_export(write_plan(change), even_if_unknown=True)
    assert plan_messages(plan)
