"""`compozy verify`: kills processes at random on a scratch database, and checks that no run is lost or repeated."""
