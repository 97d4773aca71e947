"""How results are shown: learning curves, numbers with intervals, differences, self-contained HTML pages."""
