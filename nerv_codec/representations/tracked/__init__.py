"""`tracked`: integer latent pyramids at every frame, tied together by motion, read by a small sine network."""
