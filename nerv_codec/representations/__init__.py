"""What W is: a room for each representation, what fits share, and the registry that names them."""
