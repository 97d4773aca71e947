"""Environments that pay a vector of objectives, and what makes one number of it."""
