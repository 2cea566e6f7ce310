"""Encodings by the labels that web pages use, see encoding.spec.whatwg.org.

Labels are not names of Python's codecs: `latin1` means Windows-1252, `utf-16` in a page that could be read so far means
UTF-8, and `undefined` or `punycode` mean nothing.
"""

from __future__ import annotations

import codecs

_SAME = frozenset(
    {
        "utf-8",
        "gbk",
        "gb18030",
        "big5",
        "euc_jp",
        "iso2022_jp",
        "cp866",
        "koi8-r",
        "koi8-u",
        "mac-roman",
        "mac-cyrillic",
    }
    | {f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
    | {f"cp{page}" for page in (874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)}
)
# What browsers read under the names of narrower encodings.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "cp932": "cp932",
    "gb2312": "gb18030",
    "euc_kr": "cp949",
    "cp949": "cp949",
}


def codec_of_label(label: str) -> str | None:
    """Return the codec that a page's `charset` means, None when it means none."""
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None
    if name.startswith(("utf-16", "utf-32")):
        return "utf-8"
    return name if name in _SAME else _WIDER.get(name)
