"""What `archer doctor` checks: one small function each, from checked settings to a verdict."""
