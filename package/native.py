"""A native library without what only a debugger reads.

Many wheels carry their debug sections: two thirds of some libraries. What a process loads is named
by the program headers; sections lie behind it or are not read. So the file is cut behind the last
byte that a program header names, and its section table is taken out. The same bytes come out on
every machine, which `strip` of different versions does not promise.
"""

from __future__ import annotations

import struct
from typing import Final

_MAGIC: Final = b"\x7fELF\x02\x01"  # 64 bits, little-endian: what Function Compute runs
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")


def without_sections(content: bytes) -> bytes:
    """The library as it is loaded; what is no 64-bit ELF file stays as it is."""
    if not content.startswith(_MAGIC) or len(content) < _HEADER.size:
        return content
    head = list(_HEADER.unpack_from(content))
    segments_at, segment_size, segments = head[5], head[9], head[10]
    end = segments_at + segment_size * segments
    for number in range(segments):
        segment = _SEGMENT.unpack_from(content, segments_at + number * segment_size)
        end = max(end, segment[2] + segment[5])  # its offset in the file and its size there
    head[6] = 0  # where the section table is
    head[11:14] = 0, 0, 0  # its entries' size, their number, which of them holds the names
    return (_HEADER.pack(*head) + content[_HEADER.size :])[:end]
