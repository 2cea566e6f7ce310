"""The systemd units: checked by systemd-analyze, their exposure, and that the pages show them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compozy.errors import DatabaseError, ProjectError, UsageError
from compozy.server.shutdown import DRAIN_S, GRACE_S
from tests.deployment.conftest import ROOT
from tests.docs.pages import DOCS, read_page

UNITS = sorted((ROOT / "packaging/systemd").glob("*.service"))
EDGE = ROOT / "examples/database/edge-deployment/compozy.service"
# systemd rates the exposure of a unit from 0 to 10; a unit without hardening has 9.6.
MAX_EXPOSURE = 3.0


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None and "CI" not in os.environ:
        pytest.skip("this machine has no systemd-analyze")
    assert program is not None, "systemd-analyze is not installed"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("unit", [*UNITS, EDGE], ids=lambda path: path.name)
def test_systemd_accepts_them(unit: Path, tmp_path: Path) -> None:
    # The program and the folders of the unit do not exist here.
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(encoding="utf-8"))
    path = tmp_path / unit.name.replace("@", "@1")
    path.write_text(text, encoding="utf-8")
    done = analyze("verify", "--man=no", path)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert str(path) not in done.stderr


def test_a_wrong_key_is_found(tmp_path: Path) -> None:
    path = tmp_path / "compozy.service"
    path.write_text(f"[Service]\nExecStart={sys.executable}\nWatchdogSecs=60\n", encoding="utf-8")
    assert "WatchdogSecs" in analyze("verify", "--man=no", path).stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_they_are_hardened(unit: Path) -> None:
    done = analyze("security", "--offline=yes", f"--threshold={int(MAX_EXPOSURE * 10)}", "--no-pager", unit)
    assert done.returncode == 0, done.stdout + done.stderr
    rated = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert rated is not None
    assert float(rated[1]) <= MAX_EXPOSURE


@pytest.mark.parametrize("unit", [*UNITS, EDGE], ids=lambda path: path.name)
def test_their_times_and_exit_codes_are_those_of_the_program(unit: Path) -> None:
    keys = dict(line.split("=", 1) for line in unit.read_text(encoding="utf-8").splitlines() if re.match(r"\w+=", line))
    assert int(keys["TimeoutStopSec"]) > DRAIN_S + GRACE_S
    prevented = {int(word) for word in keys["RestartPreventExitStatus"].split()}
    assert prevented == {UsageError("x").exit_status, ProjectError([]).exit_status}
    assert DatabaseError("x").exit_status not in prevented
    assert keys["Type"] == "notify"


def test_the_units_differ_in_their_command_only() -> None:
    server, worker = (
        [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        for path in sorted(UNITS, key=lambda path: "worker" in path.name)
    )
    differing = [(one, other) for one, other in zip(server, worker, strict=True) if one != other]
    assert [one.partition("=")[0] for one, _ in differing] == ["Description", "ExecStart"]


def test_the_guide_shows_the_unit() -> None:
    fences = read_page(DOCS / "guides/systemd.mdx").fences
    shown = next(fence.text for fence in fences if fence.meta.get("title", "").endswith("compozy.service"))
    assert shown.strip() == (ROOT / "packaging/systemd/compozy.service").read_text(encoding="utf-8").strip()
