"""Encodings by the labels that web pages use, see encoding.spec.whatwg.org.

Labels are not names of Python's codecs: `latin1` means Windows-1252, `utf-16` in a page that could be read so far means
UTF-8, and `undefined` or `punycode` mean nothing.
"""

from __future__ import annotations

import codecs
import re

_SAME = frozenset(
    {
        "utf-8",
        "gb18030",
        "big5hkscs",
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
# Encodings that browsers use for the names of narrower ones.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "cp932": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "cp949": "cp949",
}
# Labels of the web that Python does not know.
_ALIASES = {
    "cn-big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "x-gbk": "gb18030",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
    "windows-949": "cp949",
    "iso-ir-149": "cp949",
    "ks_c_5601-1989": "cp949",
    "ksc_5601": "cp949",
    "csgb2312": "gb18030",
    "gb_2312": "gb18030",
    "gb_2312-80": "gb18030",
    "dos-874": "cp874",
    "windows-874": "cp874",
    "koi": "koi8-r",
    "koi8": "koi8-r",
    "koi8-ru": "koi8-u",
    "iso-8859-6-e": "iso8859-6",
    "iso-8859-6-i": "iso8859-6",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "logical": "iso8859-8",
    "visual": "iso8859-8",
    "mac": "mac-roman",
    "csmacintosh": "mac-roman",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-ukrainian": "mac-cyrillic",
    "unicode-1-1-utf-8": "utf-8",
    "unicode11utf8": "utf-8",
    "unicode20utf8": "utf-8",
    "x-unicode20utf8": "utf-8",
    **{f"x-cp{page}": f"cp{page}" for page in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)},
}
_UTF_16 = {"utf-16": "utf-16-le", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be"}
_PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)


def codec_of_label(label: str, *, is_in_page: bool = True) -> str | None:
    """Return the codec that a `charset` means, None when it means none.

    Args:
        label: the name of an encoding.
        is_in_page: whether the page itself says so, which then cannot be in UTF-16.
    """
    text = label.strip().lower()
    if text in _ALIASES:
        return _ALIASES[text]
    try:
        name = codecs.lookup(text).name
    except (LookupError, ValueError):
        return None
    if name in _UTF_16:
        return "utf-8" if is_in_page else _UTF_16[name]
    return name if name in _SAME else _WIDER.get(name)


def codec_of_media_type(media_type: str) -> str | None:
    """Return the codec that the `charset` of a media type means, None when it has none that means any."""
    found = _PARAMETER.search(media_type)
    return codec_of_label(found[1], is_in_page=False) if found else None
