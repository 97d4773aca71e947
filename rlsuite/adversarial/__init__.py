"""Attacks on learners and policies, and training against them."""
