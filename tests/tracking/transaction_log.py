"""Reads the `.wandb` file of an offline run, for which the SDK ships no reader any more.

The file is `:W&B`, a magic number and a version (7 bytes), then frames as in LevelDB's log, in blocks of 32 KiB: crc32
of type and payload, length, type (7 bytes), payload. A record is one frame (full) or several (first, middle ..., last);
the last bytes of a block are zero where a frame's head does not fit.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HEAD = b":W&B\xe1\xbe\x00"
_BLOCK = 32 * 1024
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def payloads(content: bytes) -> Iterator[bytes]:
    if not content.startswith(_HEAD):
        raise ValueError(f"expected a file that starts with {_HEAD!r}, got {content[:7]!r}")
    place, open_record = len(_HEAD), None
    while place < len(content):
        left = _BLOCK - place % _BLOCK
        if left < 7:
            place += left
            continue
        crc, length, kind = struct.unpack_from("<IHB", content, place)
        payload = content[place + 7 : place + 7 + length]
        if len(payload) < length:
            raise ValueError(f"the frame at byte {place} is cut off")
        if zlib.crc32(payload, zlib.crc32(bytes([kind]))) != crc:
            raise ValueError(f"the frame at byte {place} does not match its checksum")
        if (kind in (_MIDDLE, _LAST)) != (open_record is not None):
            raise ValueError(f"the frame at byte {place}, of type {kind}, is out of order")
        place += 7 + length
        whole = (open_record or b"") + payload
        open_record = whole if kind in (_FIRST, _MIDDLE) else None
        if kind in (_FULL, _LAST):
            yield whole
    if open_record is not None:
        raise ValueError("the last record is cut off")


def records(path: Path) -> list[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    return [Record.FromString(payload) for payload in payloads(path.read_bytes())]


def of_kind(log: list[Any], kind: str) -> list[Any]:
    return [getattr(record, kind) for record in log if record.WhichOneof("record_type") == kind]


def nested(items: Any) -> dict[str, Any]:
    """Items of a configuration, a history row or a summary as plain values."""
    content: dict[str, Any] = {}
    for item in items:
        *path, last = list(getattr(item, "nested_key", ())) or [item.key]
        holder = content
        for key in path:
            holder = holder.setdefault(key, {})
        holder[last] = json.loads(item.value_json)
    return content


def summary(log: list[Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for update in of_kind(log, "summary"):
        content |= nested(update.update)
    return content
