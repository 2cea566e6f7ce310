"""Schedules of workflows: when their ticks are, and which of them start a run. Pure, without a database."""
