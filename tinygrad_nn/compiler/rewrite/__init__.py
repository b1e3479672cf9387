"""A program becomes an equal one that computes less, pass by pass."""
