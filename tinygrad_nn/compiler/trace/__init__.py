"""A run of a function becomes a program: what records it, and what stands for the values meanwhile."""
