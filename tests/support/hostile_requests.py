"""What a hostile agent has to ask with: right, wrong and crafted."""

from typing import Any

from archer_bridge.models import Customer

CUSTOMERS = (
    Customer("dana", "+15550100001", "Dana Reyes", "4821", "94107", 90_000, 45),
    Customer("sam", "+15550100002", "Sam Okafor", "7730", "10001", 123_457, 120),
    Customer("lee", "+15550100003", "Lee Park", "1199", "60614", 3, 10),
    Customer("kim", "+15550100004", "Kim Vale", "0000", "SW1A 1AA", 0, 200),
)
DETAILS = [{"account_last_4": one.account_last_4, "postal_code": one.postal_code} for one in CUSTOMERS] + [
    {"account_last_4": "4821", "postal_code": "00000"},
    {"account_last_4": 4821, "postal_code": "94107"},
]
PAYMENTS = [
    {"option": option, "payment_type": payment_type}
    for option in ("full_payment", "settlement", "payment_plan")
    for payment_type in ("sms_link", "bank_transfer", "payment_plan")
]
CRAFTED: list[Any] = [
    {},
    {"customer_id": "sam"},
    {"option": "payment_plan", "payment_type": "sms_link", "total_cents": 1},
    {"option": "payment_plan", "payment_type": "sms_link", "customer_id": "sam"},
    {"option": "payment_plan|sms_link", "payment_type": "sms_link"},
    {"option": ["full_payment"], "payment_type": {"$ne": None}},
    {"account_last_4": "' OR 1=1 --", "postal_code": "94107"},
    {"account_last_4": "٤٨٢١", "postal_code": "94107"},
    {"account_last_4": "4821", "postal_code": None},
    {"verified": True},
    {"amount": 10**30},
    {"amount": "5", "mood": "\ud800"},
    ["not", "an", "object"],
    None,
]
CHARGES = [
    {"amount": amount, "mood": mood} for amount in (1, 2) for mood in ("fine", "slow", "crash", "refuse", "exit")
]
NAMES = (
    "verify_account",
    "get_customer_options",
    "process_payment",
    "transfer_to_human",
    "end_call",
    "charge",
    "__import__",
    "",
)
