"""Supply networks of many nodes: gym-invmgmt's and OR-Gym's."""
