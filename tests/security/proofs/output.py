"""What leaves the bridge: TwiML with hostile values in it, and every sink that a secret could reach."""

import asyncio
import random
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from archer_bridge.protocols import twiml
from tests.security.proofs.findings import Finding, Size

ROOT = Path(__file__).parents[3]


async def documents(size: Size, folder: Path) -> list[Finding]:
    """Hostile values in every TwiML document."""
    choose, broken = random.Random(size.seed), 0
    alphabet = [
        "<",
        ">",
        "&",
        '"',
        "'",
        "]]>",
        "<!--",
        "<?x",
        "\x00",
        "\x0b",
        "\ud800",
        "\ufffe",
        "é",
        "x",
        "</Say><Dial>1</Dial>",
        "&#0;",
        "\U0001f600",
        "\x1b",
        "\u2028",
    ]
    for _ in range(size.documents):
        value = "".join(choose.choice(alphabet) for _ in range(choose.randrange(200)))
        made = [
            (
                twiml.connect_stream(
                    stream_url="wss://b.example/ws",
                    action_url="https://b.example/a",
                    status_url="https://b.example/s",
                    parameters={"customer_id": value},
                ),
                ["Response", "Connect", "Stream", "Parameter", "Say", "Redirect"],
            ),
            (twiml.say_and_hang_up(value or "x"), ["Response", "Say", "Hangup"]),
            (
                twiml.transfer(value or "x", action_url="https://b.example/a", caller_id=value, announce=value or "x"),
                ["Response", "Say", "Dial", "Number"],
            ),
        ]
        for document, tags in made:
            try:
                broken += [item.tag for item in ElementTree.fromstring(document).iter()] != tags
            except ElementTree.ParseError:
                broken += 1
    return [
        Finding(
            f"{3 * size.documents} TwiML documents with hostile values",
            "all parse, only our tags",
            f"{broken} wrong",
            broken == 0,
        )
    ]


async def canaries(size: Size, folder: Path) -> list[Finding]:
    """Planted secrets in every sink; a process of its own."""
    if not size.secrets:  # the suite has a test of its own for them
        return []
    command = [sys.executable, "-m", "tests.support.canary", "--secrets", str(size.secrets), "--seed", str(size.seed)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd=ROOT, check=False)
    finds = done.stdout.partition('"finds": ')[2].strip(" }\n") or done.stderr[-300:]
    return [
        Finding(
            f"{size.secrets} secrets through every entry",
            "0 found in any sink",
            "0" if finds == "[]" else finds,
            finds == "[]",
        )
    ]
