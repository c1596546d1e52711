"""Voice engines behind the one port, and Archer, who speaks through them."""
