"""Vector stores, one file each, behind the protocol in `protocol`."""
