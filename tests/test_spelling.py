"""Names as people write them, and as files have them."""

import os

from deepinside.spelling import readable


def test_bytes_that_are_no_utf8_are_written_out() -> None:
    assert readable(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"  # é in Latin-1
    assert readable("café/☕\n") == "café/☕\n"
    assert readable("\ud83d") == "\\ud83d"  # half a character, as JSON may hold it
