"""Users, API keys and sessions: who uses a server, and what they may do."""
