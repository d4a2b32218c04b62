# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of somebody's list as lines of text: which encoding it is in, and what could not be decoded."""

from __future__ import annotations

import codecs
import itertools
import re
import typing as t
from collections.abc import Callable

# In a decoded text: here stood bytes that the encoding does not know. A noncharacter, so no text holds it.
MARK: t.Final = "\ufdd0"
_BOMS: t.Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LATIN: t.Final = "äöüßéèêëàâáíìîïóòôõúùûçñãåøæÄÖÜÉÀÇÑÅØ°§«»€“”„\u2019\u2013\u2014"
_CYRILLIC: t.Final = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґОЕАИНТСРВЛКМДПУЯГЗБЧЙХЖШЮЦЩЭФ№«»\u2013\u2014"
_CENTRAL: t.Final = "ąćęłńóśźżáčďéěíňřšťúůýžőűäöüĄĆĘŁŃÓŚŹŻÁČĎÉĚÍŇŘŠŤÚŮÝŽŐŰÄÖÜ„”\u2013"
_CJK: t.Final = ("\u3040", "\u9fff")
_HANGUL: t.Final = ("\uac00", "\ud7a3")
# Code page -> the characters that texts in it consist of, besides ASCII. The order decides between equals.
_PAGES: t.Final[dict[str, str | tuple[str, str]]] = {
    "cp1251": _CYRILLIC,
    "cp1252": _LATIN,
    "cp1250": _CENTRAL,
    "cp1254": "çğıöşüÇĞİÖŞÜâîû",
    "cp1253": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
    "cp866": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp932": _CJK,
    "gb18030": _CJK,
    "big5": _CJK,
    "cp949": _HANGUL,
    "cp850": _LATIN,
    "cp852": _CENTRAL,
    "cp1255": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "cp1256": "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةئءؤآأإ",
}
_WESTERN: t.Final = tuple(_PAGES[page] for page in ("cp1252", "cp1250", "cp1254"))
_RUN: t.Final = re.compile(r"[^\W\d_a-zA-Z](?=[^\W\d_a-zA-Z]{2})")
_MIXED: t.Final = re.compile(r"[a-zA-Z](?=[^\W\d_a-zA-Z])|[^\W\d_a-zA-Z](?=[a-zA-Z])")
_SAMPLE: t.Final = 200_000


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Put undecodable bytes into the text as \\xNN, with a mark before."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return MARK + "".join(f"\\x{byte:02x}" for byte in bad), error.end


codecs.register_error("evict.mark", _mark)


def decode(data: bytes, encoding: str | None, score: Callable[[str], float]) -> tuple[str, str]:
    """A file as text.

    Args:
        data: the file.
        encoding: when it is known; None to find out.
        score: how much sense a text makes beyond its characters, such as the number of known headers in it.

    Returns:
        The text, with MARK before what could not be decoded, and the encoding.

    Raises:
        LookupError: there is no encoding of that name.
    """
    if encoding is not None:
        codecs.lookup(encoding)
        text = data.decode(encoding, "evict.mark")
        return text.removeprefix("\ufeff"), encoding
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "evict.mark"), name
    name = _wide(data) or _narrow(data, score)
    return data.decode(name, "evict.mark"), name


def _wide(data: bytes) -> str:
    """UTF-16 without its mark: every other byte of Western text is NUL. A few NULs are damage, not UTF-16."""
    sample = data[:_SAMPLE]
    if len(sample) < 4:
        return ""
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > half * 0.3 and odd > even * 4:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.3 and even > odd * 4 else ""


def _narrow(data: bytes, score: Callable[[str], float]) -> str:
    """UTF-8 where it can be, else the code page in which the text makes most sense."""
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    # Damaged UTF-8 is still UTF-8: far more good sequences than bad bytes.
    text = data.decode("utf-8", "evict.mark")
    good = sum(1 for c in text if c > "\x7f" and c != MARK)
    if good > 2 * text.count(MARK):
        return "utf-8"
    lines = [line for line in data[:_SAMPLE].splitlines() if line.strip()]
    odd = b"\n".join([*lines[:5], *(line for line in lines[5:] if re.search(rb"[\x80-\xff]", line))])
    return max(_PAGES, key=lambda page: _sense(odd, page, score))


def _sense(data: bytes, page: str, score: Callable[[str], float]) -> float:
    """How much sense the bytes make in a code page: known headers count most, then the right letters side by side."""
    text = data.decode(page, "evict.mark")
    foreign = [c for c in text if c > "\x7f"]
    usual = _PAGES[page]
    if isinstance(usual, tuple):
        fits = sum(usual[0] <= c <= usual[1] for c in foreign)
    else:
        # Western words mix ASCII letters with a few others and never have three of those in a row; the others write
        # whole words in their own letters. Hardly any language has a large letter behind a small one.
        wrong = _RUN if usual in _WESTERN else _MIXED
        pairs = sum(a.islower() and b.isupper() and b > "\x7f" for a, b in itertools.pairwise(text))
        fits = sum(c in usual for c in foreign) - len(wrong.findall(text)) - pairs
    return score(text) * 3 + (fits - 3 * text.count(MARK)) / max(1, len(foreign))
