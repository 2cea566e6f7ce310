"""The full image without an engine: the build steps of its Dockerfile in a folder, and the installed program."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.conftest import ROOT
from tests.harness.projects import write_project

DOCKERFILE = ROOT / "packaging/docker/Dockerfile"
# It installs a hundred packages.
pytestmark = pytest.mark.timeout(1800)
PROVIDERS = ("anthropic", "google", "groq", "openai")
TYPESCRIPT = "export default (input: { n: number }) => ({ n: input.n + 1 });\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the steps of the first stage with their folders replaced, and return the installed program."""
    home = tmp_path_factory.mktemp("image")
    environ = {**os.environ, "COMPOZY_WEB": "without"}
    subprocess.run(["make", "--silent", "image-context"], cwd=ROOT, env=environ, check=True, timeout=600)
    shutil.copytree(ROOT / "packaging/docker/context", home / "build")
    stage = DOCKERFILE.read_text(encoding="utf-8").partition("AS build")[2].partition("\nFROM")[0]
    steps = re.findall(r"^RUN (.*)$", stage, re.MULTILINE)
    assert len(steps) == 5
    for step in steps[:-1]:
        here = step.replace("/opt/compozy", shlex.quote(str(home / "opt")))
        subprocess.run(["sh", "-euc", here], cwd=home / "build", check=True, timeout=900)
    return home / "opt/bin/compozy"


def run(program: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{program.parent}:/usr/bin:/bin"
    environ = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "ANTHROPIC_API_KEY": "k", "SERVER_PORT": "1"}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_program_has_every_extra_but_the_local_model(program: Path, tmp_path: Path) -> None:
    providers = [{"id": kind, "type": kind, "api_key": "k"} for kind in PROVIDERS]
    write_project(
        tmp_path,
        {"w": {"tasks": [{"id": "a", "with": {"n": 1}}]}},
        llm={"providers": [*providers, {"id": "s", "type": "scripted", "responses": [{"text": "x"}]}]},
    )
    done = run(program, tmp_path, "config", "validate")
    # Packages that are not installed would be warnings.
    assert (done.returncode, done.stderr) == (0, "")
    modules = ("numpy", "semantic_text_splitter", "pypdf", "qdrant_client", "redis", "mcp", "joserfc", "deno")
    check = f"import {', '.join((*modules, 'opentelemetry.sdk', 'compozy'))}"
    subprocess.run([program.parent / "python", "-c", check], check=True, timeout=120)


def test_a_typescript_tool_runs(program: Path, tmp_path: Path) -> None:
    tool = {"id": "plus", "run": "tools/plus.ts", "input": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    write_project(tmp_path, {"w": {"tasks": [{"id": "a", "tool": "plus", "with": {"n": 41}}]}}, tools=[tool])
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/plus.ts").write_text(TYPESCRIPT, encoding="utf-8")
    done = run(program, tmp_path, "workflow", "run", "w")
    assert done.returncode == 0, done.stderr
    assert '"n": 42' in done.stdout


def test_the_container_starts_the_program_as_the_other_image_does() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert re.search(r'^ENTRYPOINT \["/opt/compozy/bin/compozy"\]\nCMD \["start"\]$', text, re.MULTILINE)
    edge = (ROOT / "examples/database/edge-deployment/Dockerfile").read_text(encoding="utf-8")
    for line in ("COMPOZY_RUN_AS=10001", "COMPOZY_HAND_OVER=/data", "STOPSIGNAL SIGTERM", "VOLUME /data"):
        assert line in text
        assert line in edge
