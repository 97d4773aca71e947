"""Gymnasium environments of rlsuite."""
