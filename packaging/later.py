"""Unpacks the libraries of the one-file program that `compozy.spec` packed apart, each when it is first imported.

PyInstaller runs this before the program. Without it each command unpacks everything, of which it needs a third.
"""

import os
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(sys._MEIPASS)  # type: ignore[attr-defined] - where PyInstaller unpacked the program


class Unpacker:
    """A finder of modules that finds none: it puts the files of a package where the finders after it look."""

    def __init__(self) -> None:
        """Remember the archives, each named after its package."""
        self._archives = {archive.stem: archive for archive in (FOLDER / "later").iterdir()}

    def find_spec(self, name: str, _path: object = None, _target: ModuleType | None = None) -> None:
        """Unpack the package of this name, if it is in an archive."""
        if name in self._archives:
            unpack(self._archives[name])
            del self._archives[name]


def unpack(archive: Path) -> None:
    """Unpack the files of an archive that are not there yet; a process and its children share the folder."""
    import shutil
    import zipfile

    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            target = FOLDER / name
            if target.exists():
                continue
            target.parent.mkdir(exist_ok=True, parents=True)
            # Renamed when it is complete, because another process may look for it now.
            part = target.with_name(f"{target.name}.{os.getpid()}")
            with packed.open(name) as source, part.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            part.replace(target)


sys.meta_path.insert(0, Unpacker())
