"""Every invalid project of the corpus is reported with all its errors, in exactly these messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faulty.corpus import FOLDER, find_errors, read_case

CASES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_invalid_project_has_exactly_these_errors(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    assert case.expected, "a case without errors tests nothing"
    assert find_errors(case, tmp_path) == case.expected


def test_corpus_is_large() -> None:
    assert len(CASES) >= 70


def test_no_message_contains_terms_of_libraries() -> None:
    jargon = ("Input should", "Field required", "Extra inputs", "pydantic", "yaml.", "Error:", "Traceback", "<block")
    for path in CASES:
        for line in read_case(path).expected:
            assert not any(word in line for word in jargon), f"{path.name}: {line}"
