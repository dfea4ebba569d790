"""Every frame is predicted by motion from frames before it in a tree; shared networks code and mend what is left."""
