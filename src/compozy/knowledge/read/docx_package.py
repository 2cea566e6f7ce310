"""The parts of an Office document, parsed as they are unpacked and within limits."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from typing import Protocol
from xml.parsers import expat

from compozy.errors import DocumentError

MAX_UNPACKED = 256 * 1024 * 1024
_DEFAULT_MAIN = "word/document.xml"
_RELATIONSHIPS = "_rels/.rels"
_BLOCK = 64 * 1024
_MAX_DEPTH = 200


class PartHandler(Protocol):
    """Takes the elements of a part, by their names without prefixes."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        ...

    def end(self, tag: str) -> None:
        """End an element."""
        ...

    def data(self, text: str) -> None:
        """Take text in."""
        ...


class Package:
    """The parts of one document. All of them together unpack to at most `MAX_UNPACKED` bytes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = set(archive.namelist())
        self._unpacked = 0

    def main_part(self) -> str:
        """Return the name of the part with the text.

        Raises:
            DocumentError: there is none.
        """
        relationships = _Relationships()
        self.parse(_RELATIONSHIPS, relationships)
        for name in (relationships.main, _DEFAULT_MAIN):
            if name in self._names:
                return name
        raise DocumentError("it is not a Word document")

    def names(self, folder: str) -> list[str]:
        """Return the names of the parts in a folder, without it."""
        paths = (name.rpartition("/") for name in self._names)
        return sorted(name for parent, _, name in paths if parent == folder)

    def parse(self, name: str, handler: PartHandler) -> None:
        """Give the elements of a part to `handler`; a part that does not exist has none.

        Raises:
            DocumentError: it unpacks to too much, is nested too deeply or has a type declaration.
            expat.ExpatError: it is not XML.
        """
        if name not in self._names:
            return
        parser = expat.ParserCreate()
        # A type declaration could define entities that blow up, or name files; Word writes none.
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.buffer_text = True
        depth = 0

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > _MAX_DEPTH:
                raise DocumentError("the Word document is nested too deeply")
            handler.start(tag.rpartition(":")[2], {key.rpartition(":")[2]: value for key, value in attributes.items()})

        def end(tag: str) -> None:
            nonlocal depth
            depth -= 1
            handler.end(tag.rpartition(":")[2])

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = handler.data
        for block in self._unpack(name):
            parser.Parse(block)
        parser.Parse(b"", True)

    def _unpack(self, name: str) -> Iterator[bytes]:
        with self._archive.open(name) as file:
            while block := file.read(_BLOCK):
                self._unpacked += len(block)
                # The size in the archive's header is not trustworthy.
                if self._unpacked > MAX_UNPACKED:
                    raise DocumentError(f"the Word document unpacks to more than {MAX_UNPACKED // 2**20} MiB")
                yield block


class _Relationships:
    def __init__(self) -> None:
        self.main = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            self.main = attributes.get("Target", "").lstrip("/")

    def end(self, tag: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


def _refuse_doctype(*_: object) -> None:
    raise DocumentError("the Word document has a type declaration, which Word does not write")
