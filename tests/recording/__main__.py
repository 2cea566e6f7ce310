"""Records the commands again: `python -m tests.recording` writes docs/content/terminal.svg."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.recording.record import ROOT, record
from tests.recording.svg import draw

RECORDING = ROOT / "docs/content/terminal.svg"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        RECORDING.write_text(draw(record(Path(folder))), encoding="utf-8")
