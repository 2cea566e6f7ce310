"""The text of a PDF, page by page, with pypdf."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from typing import Any

from compozy.errors import DocumentError
from compozy.knowledge.extras import missing_package
from compozy.knowledge.read.document import MAX_TEXT, DocumentText
from compozy.knowledge.read.text import clean

MAX_PAGES = 5000
_MEND = "open it and save it again, or take it out of the folder"
_BETWEEN = "\n\n"
# Forms in which fonts draw letters: ligatures, Arabic letters by their place in a word, radicals of Chinese. Other
# characters that NFKC would change mean something else: 10⁵ is not 105.
_FORMS = re.compile(r"[\ufb00-\ufdcf\ufe70-\ufefc\u2f00-\u2fdf]+")


def read(data: bytes) -> DocumentText:
    """Return the text of a PDF.

    Raises:
        DocumentError: it is broken, needs a password, has too many pages, or a package is not installed.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, PyPdfError
    except ImportError as error:
        raise missing_package(DocumentError, "reading PDF", error, extra="knowledge") from error
    # It logs each oddity of a broken file; errors that matter are raised.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return _text(PdfReader(io.BytesIO(data), strict=False))
    except DocumentError:
        raise
    except DependencyError as error:
        # Of its optional packages, AES needs this one; without others it leaves out images, which are not read.
        missing = ImportError(name="cryptography")
        raise missing_package(DocumentError, "reading encrypted PDF", missing, extra="knowledge") from error
    except RecursionError as error:
        raise DocumentError("the PDF is nested too deeply") from error
    except Exception as error:
        # Its other exceptions are internal names that do not help users.
        reason = f": {str(error)[:200]}" if isinstance(error, PyPdfError) and str(error) else ""
        raise DocumentError(f"the PDF is damaged or incomplete{reason}", hint=_MEND) from error


def _text(reader: Any) -> DocumentText:
    # An empty password opens what is only protected against printing.
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("the PDF needs a password", hint="save it without one, or take it out of the folder")
    if len(reader.pages) > MAX_PAGES:
        raise DocumentError(f"the PDF has more than {MAX_PAGES} pages")
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in reader.pages:
        part = _letters(clean(page.extract_text() or "").strip())
        part += _BETWEEN if part else ""
        starts.append(length)
        parts.append(part)
        length += len(part)
        if length > MAX_TEXT:
            raise DocumentError(f"it comes to more than {MAX_TEXT // 1_000_000} million characters")
    title = reader.metadata.title if reader.metadata else None
    return DocumentText(text="".join(parts).rstrip(), title=clean(str(title or "")).strip(), pages=tuple(starts))


def _letters(text: str) -> str:
    """Return a text in letters instead of the forms that fonts draw them in."""
    return _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
