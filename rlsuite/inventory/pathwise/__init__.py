"""Hindsight-differentiable policy optimisation: learning through the simulated costs themselves."""
