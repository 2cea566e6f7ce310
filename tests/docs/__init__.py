"""Tests of the pages: every fence is checked or executed, and every link is followed."""
