"""Tests of the files in `packaging` that deploy Compozy: chart, images, Compose file, systemd units."""
