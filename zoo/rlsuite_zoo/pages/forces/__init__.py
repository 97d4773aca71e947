"""The results page of SAC, RARL and QARL under forces."""
