"""`siren`: a plain sine network of (t, row, col), the literal form of the idea."""
