"""Probe environments: tiny problems with known answers, each of which fails for one reason only."""
