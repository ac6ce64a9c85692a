"""The published example of RapMedusa: only its import and connection lines are changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pscript", reason="pscript is not installed")

PROGRAM = Path(__file__).with_name("ages.py")


def test_it_prints_what_it_printed(urls: list[str]) -> None:
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, str(PROGRAM)],
            env={**os.environ, "NODE": urls[-1]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        # The order of a dict's members is that of the keys here.
        assert eval(ran.stdout) == {"54": "2", "21": "1", "43": "1"}
