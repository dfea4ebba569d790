"""The stages of `tracked` on a CPU, compiled by numba; each is held to its plain form by a test."""
