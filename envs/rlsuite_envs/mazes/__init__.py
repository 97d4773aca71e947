"""Sparse rewards: mazes, arms and tables where the way to the goal leads away from it."""
