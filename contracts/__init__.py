"""The published contracts, and what writes and compares them."""
