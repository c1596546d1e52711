"""One driven segment: calls are placed on one bridge and driven for a while, and the kernel counts what it used."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from twilio.request_validator import RequestValidator

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.bench.load import FRAME_BYTES, Leg, Measured, drive, open_leg, start_message
from tests.bench.processes import cpu_ns, rss_kib, stolen_s, wait_ns
from tests.bench.variants import NO_TLS, PUBLIC, Variant

SOCKET = "wss://bridge.example.test/ws/cartesia"
SIGN = RequestValidator(DEMO_ACCOUNT.auth_token).compute_signature
LATE_S, BUSY = 0.005, 0.7
WARM_CALLS = 4
AT_REST = 0.1
"""Of a core, when nothing is said."""
LOST = 0.005
"""Share of frames that may be missing, or too many."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Microseconds of CPU a caller's frame there and back, added milliseconds, and why it does not count.

    `load` is the share of a core, `late` how late the generator was (99th percentile, ms), `audio` the share of the
    callers' audio that came back while they spoke, `waited` the share of time that the bridge, or the engine if
    that is more, was ready to run and had no core, `stolen` what the machine's host kept back, as a share of a core.
    """

    us: float
    p50: float
    p99: float
    load: float
    late: float
    audio: float
    waited: float
    lost: str = ""
    rejected: str = ""
    stolen: float = 0.0


def lost_audio(measured: Measured, audio: float, *, is_frame_for_frame: bool) -> str:
    """Say what is missing of the callers' audio, if something is.

    Where frames come back in lumps, one lump a call may be early or late at each end of the segment.
    """
    if is_frame_for_frame:
        if abs(measured.received / measured.sent - 1) > LOST:
            return f"{measured.received} of {measured.sent} frames came back"
    elif abs(audio - 1) > LOST + measured.largest * measured.calls / (measured.sent * FRAME_BYTES):
        return f"{audio:.1%} of the audio came back"
    return ""


def why_rejected(lost: str, *, late: float, load: float, late_s: float = LATE_S, busy: float = BUSY) -> str:
    """Say why a segment does not count, if so. `late` is in milliseconds, `load` and `busy` are shares of a core."""
    if lost:
        return lost
    if late > late_s * 1000:
        return f"the generator was {late:.1f} ms late"
    if load > busy:
        return f"the bridge used {load:.0%} of a core"
    return ""


async def open_calls(variant: Variant, calls: int, make: Callable[[], Leg], *, begins: str = "") -> list[Leg]:
    """Place the calls; the product's have a webhook, a signature and a token each. Their SIDs start with `begins`."""
    url = f"http://127.0.0.1:{variant.port}/webhooks/twilio/incoming"
    signed = f"X-Twilio-Signature: {SIGN(SOCKET, {})}\r\n"

    async def one(client: httpx.AsyncClient) -> Leg:
        call_sid, token = f"CA{begins}{random.getrandbits(128):032x}"[:34], ""
        if variant.is_product:
            form = {
                "CallSid": call_sid, "AccountSid": DEMO_ACCOUNT.account_sid, "From": "+15550100001",
                "To": "+15550199999", "CallStatus": "ringing", "Direction": "inbound",
            }  # fmt: skip
            headers = {"X-Twilio-Signature": SIGN(f"{PUBLIC}/webhooks/twilio/incoming", form)}
            twiml = (await client.post(url, data=form, headers=headers)).text
            found = re.search(r'name="token" value="([^"]+)"', twiml)
            if found is None:
                raise RuntimeError(f"{variant.name} did not answer the call: {twiml[:300]}")
            token = found[1]
        return await open_leg(variant.port, start_message(call_sid, token), signed, make)

    async with httpx.AsyncClient(trust_env=False, timeout=30, verify=NO_TLS) as client:
        return [await one(client) for _ in range(calls)]


async def ready(variant: Variant) -> None:
    """Wait until the sessions are set up, which is when the bridge has next to nothing to do."""
    await asyncio.sleep(0.5)
    for _ in range(40):
        before = cpu_ns(variant.process.pid)
        await asyncio.sleep(0.2)
        if (cpu_ns(variant.process.pid) - before) / 0.2e9 < AT_REST:
            return


async def drive_segment(
    variant: Variant,
    calls: int,
    *,
    warm_s: float,
    measure_s: float,
    late_s: float = LATE_S,
    busy: float = BUSY,
) -> Segment:
    """Drive one variant for a while."""
    measured, pid = Measured(calls=calls), variant.process.pid
    before_kib = rss_kib(pid)
    legs = await open_calls(variant, calls, lambda: Leg(measured))
    await ready(variant)
    edges = list[tuple[float, int, int, int, float, int]]()

    async def edge() -> None:
        now, waits = time.perf_counter(), (wait_ns(pid), wait_ns(variant.engine_pid))
        edges.append((now, cpu_ns(pid), *waits, stolen_s(), measured.audio_bytes))

    await drive(legs, warm_s=warm_s, measure_s=measure_s, edge=edge, begin_within_s=warm_s / 2)
    if not variant.rss_call:  # later on there are earlier calls, too, which wait minutes for Twilio's last word
        variant.rss_call.append((rss_kib(pid) - before_kib) / calls)
    for leg in legs:
        leg.transport.abort()
    took, used, bridge_wait, engine_wait, stolen, _ = (after - before for before, after in zip(*edges, strict=True))
    load, waited = used / 1e9 / took, max(bridge_wait, engine_wait) / 1e9 / took
    late = measured.percentile(measured.lateness, 0.99)
    audio = edges[1][-1] / (measured.sent * FRAME_BYTES)
    p50, p99 = (
        measured.percentile(measured.latencies, share) if variant.is_frame_for_frame else float("nan")
        for share in (0.5, 0.99)
    )
    lost = lost_audio(measured, audio, is_frame_for_frame=variant.is_frame_for_frame)
    rejected = why_rejected(lost, late=late, load=load, late_s=late_s, busy=busy)
    return Segment(used / 1000 / measured.sent, p50, p99, load, late, audio, waited, lost, rejected, stolen / took)


async def warm_up(variant: Variant) -> None:
    """Place a few calls and let them end, so that what is loaded once is no call's memory."""
    await drive_segment(variant, WARM_CALLS, warm_s=0.2, measure_s=0.5)
    await asyncio.sleep(1.0)  # they end
    variant.rss_call.clear()
