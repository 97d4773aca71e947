"""Sets of policies for several objectives: measured afresh, their indicators, their fronts as pictures."""
