"""The command ``nerv-codec``: parses, calls one verb, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import shtab

from nerv_codec.cli import bench, decode, encode, estimate, evaluate, imagine, info
from nerv_codec.cli.output import STDOUT, bare_json, describe, exit_code
from nerv_codec.cli.streams import flush_stdout, give_up_stdout, mend_streams

_EPILOG = """examples:
  nerv-codec estimate video.mp4
  nerv-codec encode video.mp4 out.nvc
  nerv-codec decode out.nvc --fps 60 --scale 2
  nerv-codec eval video.mp4 out.nvc
  nerv-codec bench out.nvc
  nerv-codec info out.nvc
  nerv-codec imagine photo.png rest.png
  eval "$(nerv-codec --print-completion bash)"
  nerv-codec VERB --help                       all options of a verb, with examples

exit codes: 0 done, 1 runtime error, 2 usage, 3 input cannot be read, 4 damaged or unsupported .nvc,
5 target not reached, 6 verification failed, 130 interrupted"""


class _Parser(argparse.ArgumentParser):
    """argparse says the whole usage before an error; here an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"nerv-codec: error: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes as long as all the rest of a parser."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib import metadata

        try:
            version = metadata.version("nerv-codec")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"nerv-codec {version}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits."""
    mend_streams()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit code (argparse itself exits with 2)."""
    parser = build_parser()
    if not arguments:
        parser.print_usage(sys.stderr)
        print(
            "\nstart with:  nerv-codec encode video.mp4 out.nvc\nmore:        nerv-codec --help",
            file=sys.stderr,
        )
        return 2
    options, rest = parser.parse_known_args(bare_json(arguments))
    # argparse gives up on operands that follow an option: decode IN --fps 60 OUT.
    if hasattr(options, "names") and all(word == STDOUT or word[:1] != "-" for word in rest):
        options.names += rest
    elif rest:
        hint = "; --json=FILE writes into a file" if getattr(options, "json", None) == STDOUT else ""
        parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = int(options.run(options))
        flush_stdout()
        return code
    except BrokenPipeError:  # who reads our output has had enough
        give_up_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if options.verbose:
            traceback.print_exc()
        print(f"nerv-codec: error: {' '.join(describe(error).split())}", file=sys.stderr)
        with contextlib.suppress(OSError):
            flush_stdout()
        return exit_code(error)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(
        prog="nerv-codec",
        description="A video as a function f(t, row, col; W): fit it, store W, evaluate it anywhere.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shtab.add_argument_to(parser, "--print-completion", help="completion for a shell, to eval or to save")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in (encode, decode, evaluate, info, bench, estimate, imagine):
        added = verb.add_parser(verbs)
        loudness = added.add_mutually_exclusive_group()
        loudness.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
        loudness.add_argument("-v", "--verbose", action="store_true", help="say more; errors with traceback")
    return parser


def _terminated(*_: object) -> None:
    """SIGTERM ends a job the way Ctrl-C does: temporary files are removed on the way out."""
    raise KeyboardInterrupt
