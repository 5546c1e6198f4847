"""Inference containers, which hosting and batch transform share."""
