"""An evaluation as text, tables and one self-contained page."""
