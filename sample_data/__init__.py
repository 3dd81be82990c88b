"""Synthetic sample studies and the scripts that make them."""
