"""The command line."""

import os

# Work is shared among threads of our own, in each of which numpy's BLAS would use, and wait for, one a core. It reads
# this when it is loaded, so the word comes before that.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
