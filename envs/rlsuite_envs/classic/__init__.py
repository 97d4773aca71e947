"""Classic control, equal to Gymnasium's environments of the same names step for step, on any device."""
