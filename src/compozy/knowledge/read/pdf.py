"""The text of a PDF, page by page, with pypdf."""

from __future__ import annotations

import io
import logging
from typing import Any

from compozy.errors import DocumentError
from compozy.knowledge.extras import missing_package
from compozy.knowledge.read.document import MAX_TEXT, DocumentText
from compozy.knowledge.read.text import clean

MAX_PAGES = 5000
_MEND = "open it and save it anew, or take it out of the folder"


def read(data: bytes) -> DocumentText:
    """Return the text of a PDF.

    Raises:
        DocumentError: it is broken, needs a password, has too many pages, or pypdf is not installed.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise missing_package(DocumentError, "reading PDF", error, extra="knowledge") from error
    # It tells of each oddity of a broken file; what matters is told as an error.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return _text(PdfReader(io.BytesIO(data), strict=False))
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError("the PDF is nested too deeply") from error
    except Exception as error:
        # What else it raises are the names of what it stumbled over, which say nothing to people.
        reason = f": {str(error)[:200]}" if isinstance(error, PyPdfError) and str(error) else ""
        raise DocumentError(f"the PDF is broken or not whole{reason}", hint=_MEND) from error


def _text(reader: Any) -> DocumentText:
    # An empty password opens what is only protected against printing.
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("the PDF needs a password")
    if len(reader.pages) > MAX_PAGES:
        raise DocumentError(f"the PDF has more than {MAX_PAGES} pages")
    pages: list[str] = []
    length = 0
    for page in reader.pages:
        pages.append(clean(page.extract_text() or "").strip())
        length += len(pages[-1])
        if length > MAX_TEXT:
            raise DocumentError(f"it comes to more than {MAX_TEXT // 1_000_000} million characters")
    title = reader.metadata.title if reader.metadata else None
    return DocumentText(text="\n\n".join(page for page in pages if page), title=clean(str(title or "")).strip())
