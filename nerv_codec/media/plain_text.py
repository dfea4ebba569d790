"""Text subtitles as MP4 holds them (3GPP TS 26.245, ffmpeg's mov_text): their words, without markup; and back."""

from __future__ import annotations

import re

TEXT_CODECS = frozenset({"subrip", "ass", "webvtt", "text"})
"""ffmpeg's names of the codecs that can be converted to mov_text."""
_ASS_FIELDS_BEFORE_TEXT = 8
_MOST_BYTES = 0xFFFF


def mov_text(codec: str, data: bytes) -> bytes:
    """Returns a text sample: its length in two bytes, and the words of a subtitle packet in UTF-8.

    Args:
        codec: One of ``TEXT_CODECS``.
        data: The packet, as Matroska stores it.
    """
    text = data.decode("utf-8", "replace").replace("\0", "")
    if codec == "ass":
        text = text.split(",", _ASS_FIELDS_BEFORE_TEXT)[-1]
        text = re.sub(r"\\[Nn]", "\n", text).replace(r"\h", " ")
    text = re.sub(r"\{\\[^}]*\}", "", text)
    if codec != "text":
        text = re.sub(r"</?[A-Za-z][^<>]*>", "", text)
    words = text.replace("\r\n", "\n").strip("\n").encode()[:_MOST_BYTES].decode("utf-8", "ignore").encode()
    return len(words).to_bytes(2, "big") + words


def words_of(sample: bytes) -> bytes:
    """Returns the words of a text sample in UTF-8, as SubRip has them; empty for a pause between two of them."""
    size, body = int.from_bytes(sample[:2], "big"), sample[2:]
    encoding = "utf-16" if body[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8"
    return body[:size].decode(encoding, "replace").strip("\0\r\n").encode()
