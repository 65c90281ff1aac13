"""What the tests of the package share."""

from hypothesis import HealthCheck, settings

# A machine may be slow or busy: how long an example takes says nothing of what it shows.
settings.register_profile("speq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("speq")
