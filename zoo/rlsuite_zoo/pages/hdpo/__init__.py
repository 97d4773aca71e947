"""The results page of HDPO beside exact optima and tuned rules."""
