"""Programs as NumPy source: which memory each step uses, and how it is written."""
