"""Attacks on trained policies, and training that withstands them."""
