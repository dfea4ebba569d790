"""The stages of `tracked` on a GPU, in Triton, under the names they have in `cpu/`."""
