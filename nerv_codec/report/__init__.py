"""What an evaluation found, as data, tables and a page."""
