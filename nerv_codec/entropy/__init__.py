"""Integers to bytes and back, and what they will cost: models, tables, range coder, rate estimates."""
