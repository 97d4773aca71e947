"""Lot sizing on parallel machines with set-up times."""
