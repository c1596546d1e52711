"""The demo customers; only `archer db seed` adds them."""

from archer_bridge.models import Customer

__all__ = ["DEMO_CUSTOMERS", "UNKNOWN_CALLER"]

DEMO_CUSTOMERS = (
    Customer("demo-dana-reyes", "+15550100001", "Dana Reyes", "4821", "94107", 90_000, 45),
    Customer("demo-sam-okafor", "+15550100002", "Sam Okafor", "7730", "10001", 123_457, 120),
    Customer("demo-lee-park", "+15550100003", "Lee Park", "1199", "60614", 25_000, 10),
)

UNKNOWN_CALLER = "+15550100099"
"""A demo number that no customer has."""
