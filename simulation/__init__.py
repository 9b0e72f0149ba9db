"""The reliability campaign: the shipped code against faults, and what must hold all the while."""
