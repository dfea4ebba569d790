"""What every fit shares: checkpoints, status, sample sites, quantisation of weights."""
