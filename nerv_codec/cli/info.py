"""``nerv-codec info``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import shtab

from nerv_codec.base.files import check_input
from nerv_codec.cli.output import STDOUT, add_json, add_overwrite, check_json, json_file, skip_existing, write_json

_EPILOG = """examples:
  nerv-codec info out.nvc                              size, rate, colour, tracks, GOPs
  nerv-codec info out.nvc --json | jq .bytes_by_part   where the bytes go
  nerv-codec info out.nvc >/dev/null && echo intact    exit code 4 where anything is damaged"""


def add_parser(verbs: Any) -> argparse.ArgumentParser:
    """Adds the verb ``info`` and its flags to the command."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "info",
        help="what is in a .nvc: header, GOPs, bits by part",
        description="Prints what is in a .nvc. Every GOP is decoded, so damage anywhere is found.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_argument("input", metavar="IN", type=Path, help="the .nvc")
    source.complete = shtab.FILE  # type: ignore[attr-defined]
    add_json(parser)
    add_overwrite(parser)
    parser.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    path = json_file(options)
    if path is not None and skip_existing(options, path):
        return 0
    check_json(options, options.input)
    check_input(options.input)
    from nerv_codec.decoding.inspection import inspect

    report = inspect(options.input)
    write_json(options, report)
    if options.json != STDOUT:
        print(_text(report))
    return 0


def _text(report: dict[str, Any]) -> str:
    video, color = report["video"], report["video"]["color"]
    range_name = "full" if color["full_range"] else "limited"
    lines = [
        f"{report['file']}: {report['file_bytes']} bytes, format version {report['format_version']}",
        f"  video    {video['width']}x{video['height']}, {video['num_frames']} frames, {video['fps']:.6g} fps, "
        f"{video['duration_seconds']:.3f} s, {video['chroma']} {video['bit_depth']} bit",
        f"  rate     {report['rate_bpp']:.5f} bpp, {report['bitrate_bps'] / 1000:.1f} kb/s",
        f"  model    {report['model']}, {report['macs_per_pixel']:.0f} MAC/pixel",
        f"  colour   matrix {color['matrix']}, primaries {color['primaries']}, transfer {color['transfer']}, "
        f"{range_name} range (H.273 code points)",
    ]
    if video["begin_seconds"]:
        lines.append(f"  begins   at {video['begin_seconds']:.3f} s on the source's clock (mp4 and mkv begin at 0)")
    if video["orientation"]:
        lines.append(f"  turned   {video['orientation']} (1 transpose + 2 left-right + 4 top-bottom)")
    for track in report["tracks"]:
        words = " ".join(f"{key}={value}" for key, value in track["tags"].items())
        lines.append(f"  track    {track['kind']} {track['codec']} {words}".rstrip())
    for attachment in report["attachments"]:
        lines.append("  attached {name}, {media_type}, {bytes} bytes".format(**attachment))
    if report["tool"]:
        lines.append(f"  made by  {report['tool']['name']} in {report['tool']['encode_seconds']:.1f} s")
    lines.append("  part            bytes       share")
    for part, size in report["bytes_by_part"].items():
        lines.append(f"  {part:<12} {size:>8}     {100 * size / report['file_bytes']:6.2f} %")
    lines.append("  GOP  first frame  frames    bytes  digest")
    for gop in report["gops"]:
        columns = f"{gop['index']:>3}  {gop['first_frame']:>11}  {gop['num_frames']:>6}  {gop['bytes']:>7}"
        lines.append(f"  {columns}  {gop['digest']}")
    return "\n".join(lines)
