"""Cheap-talk MDPs: a message about the state beside it, which changes nothing else."""
