"""The fit of `tracked`: latents, motion and networks of one GOP."""
