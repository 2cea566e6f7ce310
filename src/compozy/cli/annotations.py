"""Diagnostics as CI systems read them: SARIF 2.1.0, and the workflow commands of GitHub Actions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from compozy import __version__
from compozy.errors import Diagnostic, SourceLocation

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# The root of the checkout, in SARIF.
_ROOT = "%SRCROOT%"


def sarif_document(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """Return a SARIF 2.1.0 log with one result for each diagnostic; relative files count from the current folder."""
    rules = sorted({found.code for found in diagnostics})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "Compozy", "version": __version__, "rules": [{"id": rule} for rule in rules]}
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(found, rules.index(found.code)) for found in diagnostics],
            }
        ],
    }


def github_commands(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Return one `::error` command for each diagnostic, which GitHub Actions shows at its line."""
    return [_github_command(found) for found in diagnostics]


def _result(found: Diagnostic, rule_index: int) -> dict[str, Any]:
    return {
        "ruleId": found.code,
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": _text(found)},
        "locations": [{"physicalLocation": _physical_location(found.location)}],
    }


def _physical_location(location: SourceLocation) -> dict[str, Any]:
    path = Path(location.file)
    artifact = {"uri": path.as_uri()} if path.is_absolute() else {"uri": quote(location.file), "uriBaseId": _ROOT}
    if not location.line:
        return {"artifactLocation": artifact}
    region = {"startLine": location.line} | ({"startColumn": location.col} if location.col else {})
    return {"artifactLocation": artifact, "region": region}


def _github_command(found: Diagnostic) -> str:
    location = found.location
    properties = {"file": location.file, "title": "Compozy"}
    if location.line:
        properties |= {"line": str(location.line), "col": str(location.col or 1)}
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {listed}::{_data(_text(found))}"


def _text(found: Diagnostic) -> str:
    return f"{found.message} ({found.hint})" if found.hint else found.message


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
