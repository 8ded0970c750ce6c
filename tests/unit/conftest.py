"""Property tests of every room: as many examples anywhere, and no time limit on one, for machines differ."""

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
