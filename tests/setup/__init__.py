"""Tests of installing Compozy: the locks of a checkout, and the wheel of a release."""
