"""A JPEG lossless encoder (ITU-T T.81, process 14), independent of any library.

One component, any of the seven predictors, one Huffman table in which all 17 difference
categories have a code of five bits. Slow and large, but readable against the standard.
"""

from __future__ import annotations

import struct

import numpy as np

N_CATEGORIES = 17
CODE_BITS = 5


def encode(samples: np.ndarray, *, precision: int, predictor: int = 1) -> bytes:
    """A JPEG lossless codestream of unsigned samples [row, column] of ``precision`` bits."""
    rows, columns = samples.shape
    data = samples.astype(np.int64)
    assert data.min() >= 0
    assert data.max() < 1 << precision
    difference = (data - _predicted(data, precision, predictor)) & 0xFFFF
    difference[difference > 32768] -= 65536
    frame = struct.pack(">BHHBBBB", precision, rows, columns, 1, 1, 0x11, 0)
    counts = bytes(N_CATEGORIES if n == CODE_BITS else 0 for n in range(1, 17))
    table = bytes([0x00]) + counts + bytes(range(N_CATEGORIES))
    scan = bytes([1, 1, 0x00, predictor, 0, 0])
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xC3, frame),
            _segment(0xC4, table),
            _segment(0xDA, scan),
            _entropy_coded(difference.ravel()),
            b"\xff\xd9",
        ]
    )


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _predicted(data: np.ndarray, precision: int, predictor: int) -> np.ndarray:
    """Table H.1: a is to the left, b above, c above left; borders by H.1.2.1."""
    result = np.empty_like(data)
    a, b, c = data[1:, :-1], data[:-1, 1:], data[:-1, :-1]
    result[1:, 1:] = {
        1: a,
        2: b,
        3: c,
        4: a + b - c,
        5: a + ((b - c) >> 1),
        6: b + ((a - c) >> 1),
        7: (a + b) >> 1,
    }[predictor]
    result[0, 0] = 1 << (precision - 1)
    result[0, 1:] = data[0, :-1]
    result[1:, 0] = data[:-1, 0]
    return result


def _entropy_coded(differences: np.ndarray) -> bytes:
    bits: list[str] = []
    for value in differences.tolist():
        category = abs(value).bit_length()
        bits.append(format(category, f"0{CODE_BITS}b"))
        if category == 16:
            continue  # 32768 has no further bits (H.1.2.2)
        if category:
            low = value if value > 0 else value + (1 << category) - 1
            bits.append(format(low, f"0{category}b"))
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    raw = int(text, 2).to_bytes(len(text) // 8, "big")
    return raw.replace(b"\xff", b"\xff\x00")
