"""Where fits of GOPs run; an engine starts jobs and hands back what they came to."""
