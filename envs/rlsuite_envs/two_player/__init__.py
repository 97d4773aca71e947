"""Games of two players: who moves what, and a point in the wind."""
