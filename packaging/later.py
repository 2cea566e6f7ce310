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
        """Unpack the package of this name, if it is in an archive.

        Raises:
            CompozyError: the folder takes no files, for example because the disk is full. The next import tries again.
        """
        if name not in self._archives:
            return
        try:
            unpack(self._archives[name])
        except OSError as error:
            from compozy.errors import CompozyError

            hint = "make space there, or name another folder in TMPDIR and start the program again"
            raise CompozyError(f"cannot unpack {name} to {FOLDER}: {error.strerror or error}", hint=hint) from error
        del self._archives[name]


def unpack(archive: Path) -> None:
    """Unpack the files of an archive that are not there yet; a process and its children share the folder.

    Raises:
        OSError: a file cannot be written.
    """
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
            try:
                with packed.open(name) as source, part.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
                part.replace(target)
            except OSError:
                part.unlink(missing_ok=True)
                raise


sys.meta_path.insert(0, Unpacker())
