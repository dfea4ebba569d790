"""``nerv-codec eval``."""

from typing import Any


def add_parser(verbs: Any):
    return verbs.add_parser("eval")
