"""The results page of ACT, cheap talk to learners."""
