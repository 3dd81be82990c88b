"""Room of the planner."""
