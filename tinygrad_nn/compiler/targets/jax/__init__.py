"""Programs for JAX."""
