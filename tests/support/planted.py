"""Secrets as people say and machines write them, each with what must never be found afterwards; and harmless text."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
NAMES = ["dana", "sam", "lee", "alex", "maria", "omar", "chen", "ivan"]


@dataclass(frozen=True, slots=True)
class Planted:
    """One secret: `text` carries it, none of `needles` may survive."""

    kind: str
    text: str
    needles: tuple[str, ...]


def card_number(choose: random.Random, length: int = 16) -> str:
    """Return digits that pass the Luhn check and begin as a payment card's do."""
    prefix = {15: "37", 14: "36"}.get(length, choose.choice(["4", "51", "55", "2221", "6011"]))
    digits = prefix + "".join(str(choose.randrange(10)) for _ in range(length - 1 - len(prefix)))
    values = [int(digit) for digit in digits]
    total = sum(values[-2::-2]) + sum(value * 2 - 9 * (value > 4) for value in values[::-2])
    return digits + str(-total % 10)


def spoken(digits: str) -> str:
    return " ".join(UNITS[int(digit)] for digit in digits)


def grouped(digits: str, mark: str) -> str:
    shape = {15: (4, 6, 5), 14: (4, 6, 4)}.get(len(digits), (4, 4, 4, len(digits) - 12))
    parts, at = [], 0
    for size in shape:
        parts.append(digits[at : at + size])
        at += size
    return mark.join(parts)


def _doubled(digits: str) -> str:
    words, at = [], 0
    while at < len(digits):
        if digits[at : at + 2] == digits[at] * 2:
            words.append(f"double {UNITS[int(digits[at])]}")
            at += 2
        else:
            words.append(UNITS[int(digits[at])])
            at += 1
    return " ".join(words)


def _card(choose: random.Random) -> Planted:
    digits = card_number(choose, choose.choice([16, 16, 16, 15, 14, 19]))
    forms: list[Callable[[str], str]] = [
        str,
        lambda text: grouped(text, " "),
        lambda text: grouped(text, "-"),
        lambda text: grouped(text, ", "),
        lambda text: grouped(text, "."),
        " ".join,
        "-".join,
        spoken,
        lambda text: ", ".join(spoken(part) for part in grouped(text, " ").split()),
        lambda text: spoken(text).replace("zero", "oh"),
        _doubled,
        lambda text: f"{spoken(text[:4])} {text[4:8]} {spoken(text[8:])}",
    ]
    form = choose.choice(forms)(digits)
    around = choose.choice(["{}", "my card is {} thanks", "It's {}.", "pay with {}, please", "number {} expires 12/27"])
    return Planted("card", around.format(form), (form, digits))


def _code(choose: random.Random) -> Planted:
    digits = "".join(str(choose.randrange(10)) for _ in range(choose.choice([3, 3, 4])))
    form = choose.choice([digits, spoken(digits)])
    about, order = choose.choice(
        [
            ("the cvv is {}", "cvv is"),
            ("security code {}", "security code"),
            ("CVC: {}", "CVC:"),
            ("{} on the back", ""),
        ]
    )
    text = about.format(form)
    return Planted("code", text, (text,) if not order else (f"{order} {form}",))


def _ssn(choose: random.Random) -> Planted:
    a, b, c = (f"{choose.randrange(100, 899)}", f"{choose.randrange(10, 99)}", f"{choose.randrange(1000, 9999)}")
    dashed = f"{a}-{b}-{c}"
    forms = [
        (dashed, dashed),
        (f"{a} {b} {c}", f"{a} {b} {c}"),
        (f"my social security number is {a}{b}{c}", a + b + c),
        (f"social is {spoken(a + b + c)}", spoken(a + b + c)),
        (f"{spoken(a)}, {spoken(b)}, {spoken(c)}", spoken(a)),
    ]
    text, needle = choose.choice(forms)
    return Planted("ssn", text, (needle,))


def _email(choose: random.Random) -> Planted:
    name, number = choose.choice(NAMES), choose.randrange(10_000, 99_999)
    written = f"{name}.r{number}@example.com"
    said = f"{name} dot r{number} at example dot com"
    text = choose.choice([written, said])
    return Planted("email", f"write to {text} please", (text, f"r{number}"))


def _phone(choose: random.Random) -> Planted:
    area, exchange, line = choose.randrange(201, 989), choose.randrange(201, 989), choose.randrange(1000, 9999)
    digits = f"{area}{exchange}{line}"
    forms = [
        f"+1{digits}",
        f"({area}) {exchange}-{line}",
        f"{area}-{exchange}-{line}",
        f"{area}.{exchange}.{line}",
        f"+1 {area} {exchange} {line}",
        spoken(digits),
    ]
    form = choose.choice(forms)
    return Planted("phone", f"call me back on {form}", (form, digits, f"{area}-{exchange}", f"{area} {exchange}"))


def _key(choose: random.Random) -> Planted:
    random_hex = f"{choose.getrandbits(128):032x}"
    forms = [
        f"sk_car_{random_hex}",
        f"Authorization: Bearer {random_hex}",
        f"auth_token={random_hex}",
        f'{{"api_key": "{random_hex}"}}',
        f"AC{random_hex}",
        f'<Parameter name="token" value="v1.{random_hex}"/>',
        f'"customParameters": {{"token": "{random_hex}", "customer_phone": "x"}}',
        f"https://example.com/x?token={random_hex}&a=1",
    ]
    return Planted("key", choose.choice(forms), (random_hex,))


MAKERS: Sequence[Callable[[random.Random], Planted]] = (_card, _card, _code, _ssn, _email, _phone, _key)


def planted(count: int, *, seed: int) -> list[Planted]:
    """Return secrets of every kind, in turn."""
    choose = random.Random(seed)
    return [MAKERS[index % len(MAKERS)](choose) for index in range(count)]


def harmless(count: int, *, seed: int) -> list[str]:
    """Return sentences with amounts, dates, postal codes, confirmation numbers and last four digits: to be kept."""
    choose = random.Random(seed)
    return [_harmless(choose) for _ in range(count)]


def _harmless(choose: random.Random) -> str:
    cents, day, month = choose.randrange(100, 10_000_000), choose.randrange(1, 29), choose.randrange(1, 13)
    dollars, amount = cents // 100, f"${cents // 100:,}.{cents % 100:02d}"
    date = f"2026-{month:02d}-{day:02d}"
    plan = ", ".join(f"{amount} on 2027-{number:02d}-{day:02d}" for number in range(1, 7))
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    confirmation = "A-" + "".join(choose.choice(letters) for _ in range(6))
    reference = "".join(choose.choice("0123456789") for _ in range(choose.choice([6, 8, 10, 12])))
    last_four, postal = f"{choose.randrange(10_000):04d}", f"{choose.randrange(100_000):05d}"
    return choose.choice(
        [
            f"Your balance is {amount}, due {date}.",
            f"The plan is six payments: {plan}.",
            f"{amount} {date} {amount} {date} {amount}",
            f"{dollars}.{cents % 100:02d} and {dollars + 1}.00 by {month}/{day}/2026",
            f"The account ends in {last_four} and the postal code is {postal}",
            f"{last_four}, {postal}",
            f"{spoken(last_four)} and {spoken(postal)}",
            f"{last_four} {postal}-{last_four}",
            f"Your confirmation number is {confirmation}",
            f"Your confirmation number is {reference}.",
            f"reference: {reference}, posted {date}T10:{month:02d}:{day:02d}Z",
            f"{spoken(str(dollars % 10))} hundred dollars on the {day}th at {month}:30",
            f"pay {dollars} dollars and {cents % 100} cents in {month} payments, {day} days overdue",
            f'{{"total_cents":{cents},"payments":[{{"due":"{date}","amount_cents":{cents // 6}}}]}}',
            f"duration {cents / 1000:.3f} s, {cents} frames, {day} turns, {month} tools",
            f"call CA{choose.getrandbits(128):032x} stream MZ{choose.getrandbits(128):032x} at {date} 18:04:36.123456",
        ]
    )
