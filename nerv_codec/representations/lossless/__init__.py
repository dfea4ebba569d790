"""Every sample back: each one predicted from what is known already, and the surprise coded."""
