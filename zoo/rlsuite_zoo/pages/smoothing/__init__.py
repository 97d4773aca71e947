"""The results page of smoothed policies, their certificates and attacks on them."""
