"""A point in the plane among walls."""
