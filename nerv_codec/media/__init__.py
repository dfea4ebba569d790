"""Pixels in and out of ordinary files: reading, writing, colour, and the cutting into GOPs."""
