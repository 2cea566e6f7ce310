"""Tests of the documentation site, as it is built and as a browser shows it."""
