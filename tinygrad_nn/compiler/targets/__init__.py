"""A program becomes a function that computes: one folder for each way."""
