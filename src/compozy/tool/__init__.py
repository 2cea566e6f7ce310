"""Tools: functions that a model, or a task, can call."""
