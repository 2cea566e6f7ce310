"""Transfers whole databases: export, import, integrity check and pruning."""
