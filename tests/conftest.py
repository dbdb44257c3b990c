"""Settings of all properties.

Rule: a failed property is reported with the example that failed first. Shrinking takes up to five minutes, and a test
that takes two is ended without its example. To shrink: `pytest TEST --hypothesis-profile shrink --timeout 0`, which
begins with the example that failed.
"""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("shrink", report_multiple_bugs=False, deadline=None)  # no property measures time
settings.register_profile("tests", settings.get_profile("shrink"), phases=(Phase.explicit, Phase.reuse, Phase.generate))
settings.load_profile("tests")  # pytest loads the profile of its option later
