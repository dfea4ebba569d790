"""What a file is worth: metrics, curves beside other codecs, held-out samples, reports, speed."""
