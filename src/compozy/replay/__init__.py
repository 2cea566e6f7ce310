"""Tests of workflows that replay recorded answers: `compozy test`."""
