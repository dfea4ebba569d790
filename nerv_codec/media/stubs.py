"""Stubs: files without packets, whose one track describes a codec and its parameters as a container's standard does."""

from __future__ import annotations

import io
from typing import NoReturn, cast

import av
from av.container import InputContainer
from av.container.core import Flags
from av.stream import Stream

from nerv_codec.media.containers import open_input

STUB_OPTIONS: dict[str, dict[str, str]] = {"matroska": {}, "mp4": {"movflags": "empty_moov+default_base_moof"}}
"""The containers whose beginning can describe a track, the more compact one first, and how that is written."""
_EMPTY_CLUSTER = bytes.fromhex("1f43b67501ffffffffffffff")
"""Where Matroska's demuxer stops looking for more tracks."""


def make_stub(stream: Stream, extradata: bytes | None = None) -> tuple[str, bytes] | None:
    """Returns a stub for a stream as (name of its format, bytes); None where neither format knows the codec.

    Args:
        stream: A track of an opened file.
        extradata: The codec's setup, where it is not the stream's own.
    """
    for name, options in STUB_OPTIONS.items():
        buffer = io.BytesIO()
        try:
            with av.open(buffer, "w", format=name, container_options=options) as container:
                container.flags |= cast(int, Flags.bitexact.value)  # no random identifiers
                added = container.add_stream_from_template(stream, opaque=True)
                if extradata is not None:
                    added.codec_context.extradata = extradata
                container.start_encoding()
                stub = buffer.getvalue()
            with open_stub(name, stub) as check:
                if check.streams[0].codec_context.codec.name == stream.codec_context.codec.name:
                    return name, stub
        except (av.FFmpegError, ValueError, AttributeError, IndexError, NotImplementedError):
            continue  # this container does not know the codec; the other one may
    return None


def open_stub(name: str, stub: bytes) -> InputContainer:
    """Opens a stub, so that its one stream can be a template. A stub may come from a stranger: it cannot open files.

    Raises:
        av.FFmpegError, ValueError, IndexError: It is damaged or describes no track.
    """
    if name not in STUB_OPTIONS:
        raise ValueError(f"Expected one of {', '.join(STUB_OPTIONS)}, got {name}.")
    ended = stub + (_EMPTY_CLUSTER if name == "matroska" else b"")
    container = open_input(io.BytesIO(ended), format=name, io_open=_refuse)
    if len(container.streams) != 1 or container.streams[0].type not in ("audio", "subtitle"):
        container.close()
        raise ValueError("Expected the description of one track of sound or subtitles.")
    return container


def describe_stub(name: str, stub: bytes) -> dict[str, str]:
    """Returns ``kind`` (audio, subtitle) and ``codec`` of a track; ``unknown`` where the stub is damaged."""
    try:
        with open_stub(name, stub) as container:
            stream = container.streams[0]
            return {"kind": stream.type, "codec": stream.codec_context.codec.canonical_name}
    except (av.FFmpegError, ValueError, AttributeError, IndexError):
        return {"kind": "unknown", "codec": "unknown"}


def _refuse(url: str, *_: object) -> NoReturn:
    raise PermissionError("a track may not refer to another file")
