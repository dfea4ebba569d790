"""Ordinary video files in and out: pixels as planes of code values, and sound, subtitles and tags beside them."""
