"""What every room may use and that knows nothing of codecs: errors, files, progress, threads, the types of a video."""
