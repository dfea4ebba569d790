"""One exception class for each way things can be wrong.

Every class carries the process exit code that the command line returns for it, so that the
mapping stands in one place. Messages are one line: what was expected, what was found.
"""


class NervCodecError(Exception):
    """Base of all errors this package raises on purpose (exit code 1)."""

    exit_code = 1


class UsageError(NervCodecError):
    """An argument or a configuration value makes no sense (exit code 2)."""

    exit_code = 2


def expect(condition: bool, expected: str, found: object) -> None:
    """Raises UsageError with what was expected and what was found, unless ``condition`` holds."""
    if not condition:
        raise UsageError(f"expected {expected}, found {found!r}")


class OutputExistsError(UsageError):
    """The output is there already, or is the input, and may not be overwritten (exit code 2)."""


class InputError(NervCodecError):
    """The input cannot be read, or holds no video (exit code 3)."""

    exit_code = 3


class BitstreamError(NervCodecError):
    """A ``.nvc`` stream is damaged, truncated or breaks a limit of the format (exit code 4)."""

    exit_code = 4


class UnsupportedVersionError(BitstreamError):
    """A ``.nvc`` stream asks for a feature or version that this decoder does not know (exit code 4)."""


class TargetNotReachedError(NervCodecError):
    """A requested rate, size or quality could not be reached (exit code 5)."""

    exit_code = 5


class VerificationError(NervCodecError):
    """What the written file decodes to is not what the encoder meant (exit code 6)."""

    exit_code = 6


class CoordinateRangeError(NervCodecError, ValueError):
    """A coordinate lies outside what W was fitted on: the function interpolates, it does not extrapolate."""

    exit_code = 2


class Interrupted(KeyboardInterrupt):
    """Somebody asked for an end (Ctrl-C, SIGTERM), and it came at a place where work could be saved (130)."""
