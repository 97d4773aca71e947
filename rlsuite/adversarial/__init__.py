"""Attacks on learners and on trained policies, and training that withstands them."""
