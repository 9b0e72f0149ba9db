"""The doctor: what is wrong, why it matters, and what mends it. It changes nothing."""
