"""Debian's OpenIGTLink library and its unmodified examples, compiled and run for tests.

Needs ``libopenigtlink-dev``, ``openigtlink-examples`` and ``g++``; skips without them.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = Path("/usr/share/doc/openigtlink-examples/examples/Receiver")
INCLUDE = Path("/usr/include/openigtlink")
WAIT_S = 30.0

REFERENCE = r"""
// The same messages, packed by the library, on standard output; or checked from standard input.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include "igtlTrajectoryMessage.h"
#include "igtlTransformMessage.h"
#include "igtlPointMessage.h"
#include "igtlPolyDataMessage.h"
#include "igtlStringMessage.h"

template <class M> void finish(M &m, const char *device) {
  m->SetDeviceName(device);
  igtl::TimeStamp::Pointer stamp = igtl::TimeStamp::New();
  stamp->SetTime(1234567890U, 0U);
  m->SetTimeStamp(stamp);
  m->Pack();
  fwrite(m->GetPackPointer(), 1, m->GetPackSize(), stdout);
}

int main() {
  // kind, device, name, group, owner, text, then colour and numbers
  std::string kind, device, name, group, owner, text;
  std::getline(std::cin, kind); std::getline(std::cin, device); std::getline(std::cin, name);
  std::getline(std::cin, group); std::getline(std::cin, owner); std::getline(std::cin, text);
  int c[4]; float a[3], b[3], thick, m[12];
  for (int &v : c) std::cin >> v;
  for (float &v : a) std::cin >> v;
  for (float &v : b) std::cin >> v;
  std::cin >> thick;
  for (float &v : m) std::cin >> v;
  if (kind == "TRAJ") {
    igtl::TrajectoryMessage::Pointer t = igtl::TrajectoryMessage::New();
    igtl::TrajectoryElement::Pointer e = igtl::TrajectoryElement::New();
    e->SetName(name.c_str()); e->SetGroupName(group.c_str());
    e->SetType(igtl::TrajectoryElement::TYPE_ENTRY_TARGET);
    e->SetRGBA(c[0], c[1], c[2], c[3]);
    e->SetEntryPosition(a); e->SetTargetPosition(b); e->SetRadius(thick);
    e->SetOwner(owner.c_str());
    t->AddTrajectoryElement(e); finish(t, device.c_str());
  } else if (kind == "POINT") {
    igtl::PointMessage::Pointer p = igtl::PointMessage::New();
    for (int i = 0; i < 2; i++) {
      igtl::PointElement::Pointer e = igtl::PointElement::New();
      e->SetName((name + (i ? " tip" : " entry")).c_str()); e->SetGroupName(group.c_str());
      e->SetRGBA(c[0], c[1], c[2], c[3]); e->SetPosition(i ? b : a); e->SetRadius(0);
      e->SetOwner(owner.c_str()); p->AddPointElement(e);
    }
    finish(p, device.c_str());
  } else if (kind == "TRANSFORM") {
    igtl::TransformMessage::Pointer t = igtl::TransformMessage::New();
    igtl::Matrix4x4 x;
    for (int r = 0; r < 3; r++) for (int k = 0; k < 4; k++) x[r][k] = m[4 * r + k];
    x[3][0] = x[3][1] = x[3][2] = 0; x[3][3] = 1;
    t->SetMatrix(x); finish(t, device.c_str());
  } else if (kind == "POLYDATA") {
    igtl::PolyDataMessage::Pointer p = igtl::PolyDataMessage::New();
    igtl::PolyDataPointArray::Pointer points = igtl::PolyDataPointArray::New();
    points->AddPoint(a); points->AddPoint(b);
    igtl::PolyDataCellArray::Pointer lines = igtl::PolyDataCellArray::New();
    igtlUint32 cell[2] = {0, 1}; lines->AddCell(2, cell);
    p->SetPoints(points); p->SetLines(lines); finish(p, device.c_str());
  } else {
    igtl::StringMessage::Pointer s = igtl::StringMessage::New();
    s->SetEncoding(3); s->SetString(text); finish(s, device.c_str());
  }
}
"""


def compiler(folder: Path) -> Callable[[str], Path]:
    """Compiles one program with the library; each only once."""
    for needed, what in ((INCLUDE, "libopenigtlink-dev"), (EXAMPLES, "openigtlink-examples")):
        if not needed.is_dir():
            pytest.skip(f"{what} is not installed")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    (folder / "Reference.cxx").write_text(REFERENCE)

    def build(name: str) -> Path:
        program = folder / name
        source = EXAMPLES / f"{name}.cxx"
        if not program.exists():
            source = source if source.exists() else folder / f"{name}.cxx"
            subprocess.run(
                ["g++", "-w", f"-I{INCLUDE}", str(source), "-lOpenIGTLink", "-lpthread"]
                + ["-o", str(program)],
                check=True,
                capture_output=True,
                timeout=120,
            )
        return program

    return build


@contextmanager
def running(command: list[str], log: Path) -> Iterator[Callable[[], str]]:
    """A program, and what it has printed so far; it is killed by its id at the end."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, cwd=ROOT
        )
        try:
            yield lambda: log.read_text(errors="replace")
        finally:
            process.kill()
            process.wait(WAIT_S)


def wait_for(printed: Callable[[], str], pattern: str, times: int = 1) -> str:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        text = printed()
        if len(re.findall(pattern, text)) >= times:
            return text
        time.sleep(0.05)
    raise AssertionError(f"never printed {pattern}: {printed()[-2000:]}")


def wait_for_port(port: int) -> None:
    """Returns when somebody listens there."""
    end = time.monotonic() + WAIT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, f"nobody listens at {port}"
        time.sleep(0.05)
