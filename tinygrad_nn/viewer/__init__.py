"""Readers of a recording that tell people of it: pictures and derivations."""
