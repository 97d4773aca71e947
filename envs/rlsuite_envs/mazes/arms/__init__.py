"""Arms on a table: billiard, curling, the redundant arm, and the planar physics they share."""
