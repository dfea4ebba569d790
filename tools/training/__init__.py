"""Makes the networks that all files share (see nerv_codec/representations/shared)."""
