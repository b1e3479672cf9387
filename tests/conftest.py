"""Profiles of hypothesis: `default` is quick and the same on every run, `intense` is for the long one.

python -m pytest --hypothesis-profile=intense
"""

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("default", max_examples=5, derandomize=True, database=None, **COMMON)
settings.register_profile("intense", max_examples=500, print_blob=True, **COMMON)
settings.load_profile("default")
