"""A picture as subbands under networks that all files share: shipped with the package, never sent."""
