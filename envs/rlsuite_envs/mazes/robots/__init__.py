"""Two-wheeled robots with range sensors in mazes: hard maze, fastsim's, ball collection."""
