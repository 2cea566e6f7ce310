"""The agent: one prompt becomes one answer through checkpointed model requests."""
