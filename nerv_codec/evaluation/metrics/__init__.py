"""Quality of one pair of frame sequences, one module a metric."""
