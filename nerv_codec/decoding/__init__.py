"""A .nvc becomes pictures: the file, its clock, its metadata, its frames."""
