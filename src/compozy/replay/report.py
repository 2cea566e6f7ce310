"""Results of tests as JSON and as JUnit XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compozy.errors import UsageError
from compozy.replay.evaluate import Evaluated, evaluation_document
from compozy.replay.session import Outcome

# Characters that XML 1.0 cannot hold.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def results_document(
    outcomes: Sequence[Outcome], written: Sequence[str], evaluated: Sequence[Evaluated] = ()
) -> dict[str, Any]:
    """Return the results as JSON; `written` are the cassettes that were written."""
    failed = sum(not outcome.has_passed for outcome in outcomes)
    return {
        "passed": len(outcomes) - failed,
        "failed": failed,
        "written": list(written),
        "tests": [_document(outcome) for outcome in outcomes],
        "evaluations": [evaluation_document(each) for each in evaluated],
    }


def _document(outcome: Outcome) -> dict[str, Any]:
    test, result = outcome.test, outcome.result
    return {
        "file": test.file.shown,
        "name": test.case.name,
        "workflow": test.workflow_id,
        "status": "passed" if outcome.has_passed else "failed",
        "seconds": round(result.seconds, 3),
        "problems": list(result.problems),
        "usage": result.run.get("usage", []),
    }


def write_junit(path: Path, outcomes: Sequence[Outcome], evaluated: Sequence[Evaluated] = ()) -> None:
    """Write the results as JUnit XML, which forges show; an evaluation is a suite with one test.

    Raises:
        UsageError: the file cannot be written.
    """
    by_file: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_file[outcome.test.file.shown].append(outcome)
    root = ET.Element("testsuites", _counts(outcomes))
    for file, group in sorted(by_file.items()):
        suite = ET.SubElement(root, "testsuite", {"name": file, **_counts(group)})
        for outcome in group:
            about = {"classname": file, "name": _text(outcome.test.case.name), "file": file}
            if line := outcome.test.locate("name").line:
                about["line"] = str(line)
            case = ET.SubElement(suite, "testcase", {**about, "time": f"{outcome.result.seconds:.3f}"})
            if not outcome.has_passed:
                problems = [_text(problem) for problem in outcome.result.problems]
                failure = ET.SubElement(case, "failure", {"message": problems[0].partition("\n")[0]})
                failure.text = "\n".join(problems)
    for each in evaluated:
        _add_evaluation(root, each)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _add_evaluation(root: ET.Element, evaluated: Evaluated) -> None:
    file, evaluation = evaluated.source.file.shown, evaluated.source.evaluation
    counts = {"tests": "1", "failures": str(int(not evaluated.has_passed)), "errors": "0"}
    time = f"{evaluated.seconds:.3f}"
    suite = ET.SubElement(root, "testsuite", {"name": f"{file} evaluate", **counts, "time": time})
    about = {"classname": file, "name": _text(evaluation.name), "file": file, "time": time}
    case = ET.SubElement(suite, "testcase", about)
    if not evaluated.has_passed:
        message = f"score {evaluated.mean:.2f} is lower than the threshold {evaluation.threshold:g}"
        failure = ET.SubElement(case, "failure", {"message": message})
        failure.text = "\n".join(
            _text(f"case {number}: {each.score:.2f} {each.problem or each.reason}")
            for number, each in enumerate(evaluated.scores, 1)
        )


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    failed = sum(not outcome.has_passed for outcome in outcomes)
    seconds = sum(outcome.result.seconds for outcome in outcomes)
    return {"tests": str(len(outcomes)), "failures": str(failed), "errors": "0", "time": f"{seconds:.3f}"}


def _text(text: str) -> str:
    return _NOT_XML.sub("?", text)
