"""Derivatives of functions: forward mode, the transforms, recomputation, loops and branches."""
