"""Cheap-talk MDPs: a message about the state is appended to the observation, and nothing else changes."""
