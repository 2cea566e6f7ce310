"""What each library adds to the one-file program, in MB: `build/binary/bin/python packaging/costs.py dist/compozy`."""

import collections
import sys

from PyInstaller.archive.readers import CArchiveReader

_SMALLEST_MB = 0.25


def main(program: str) -> None:
    """Print the libraries of a program, the largest first."""
    archive = CArchiveReader(program)
    sizes: collections.Counter[str] = collections.Counter()
    for name, (_, packed, *_rest) in archive.toc.items():
        if name != "PYZ.pyz":
            folder, _, file = name.replace("\\", "/").partition("/")
            # An archive of `later` has the name of its package.
            sizes[_library(file.removesuffix(".zip") if folder == "later" else folder)] += packed
    for name, (_, _, packed) in archive.open_embedded_archive("PYZ.pyz").toc.items():
        sizes[_library(name.split(".")[0])] += packed
    rest = 0.0
    for name, size in sizes.most_common():
        if size / 1e6 >= _SMALLEST_MB:
            print(f"{size / 1e6:6.1f}  {name}")
        else:
            rest += size / 1e6
    print(f"{rest:6.1f}  others")


def _library(name: str) -> str:
    """Return the library that a part belongs to; what is of no package is Python's own."""
    name = name.removesuffix(".libs").split("-")[0]
    known = {
        "psycopg_binary": "psycopg",
        "pydantic_core": "pydantic",
        "griffe": "pydantic_ai",
        "genai_prices": "pydantic_ai",
    }
    if name in known:
        return known[name]
    is_python = (
        name.startswith("python3") or name == "base_library.zip" or ".so" in name or name in sys.stdlib_module_names
    )
    return "Python with its libraries" if is_python else name


if __name__ == "__main__":
    main(sys.argv[1])
