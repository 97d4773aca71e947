"""Speed, measured beside other libraries in one run; ratios, never asserted in a test."""
