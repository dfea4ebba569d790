"""Compiled inner loops (numba) over plain arrays: the bottom of the layers, numpy and numba are all they import."""
