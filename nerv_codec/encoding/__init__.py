"""A video becomes a .nvc: settings, cutting into GOPs, scheduling of fits, assembly of the file."""
