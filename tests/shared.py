"""Where the real development data lies, and the mark for tests that need it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(
    not (SHARED / "data" / "README.md").exists(), reason="the shared development data is not beside the checkout"
)
