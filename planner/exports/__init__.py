"""A plan for other programs and for people: every export starts at :func:`plan_to_export`."""
