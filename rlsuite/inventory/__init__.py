"""Policies for inventory networks: learned along the gradient of the simulation (HDPO), and classical ones."""
