"""Media streams over a real socket: what the bridge receives, and the truth about what it sends."""

import asyncio
import base64
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from twilio.request_validator import RequestValidator
from websockets.utils import accept_key

from archer_bridge.devkit.phone import DEMO_ACCOUNT, Caller, CallerScript, CallReport, PhoneOptions, Span, StreamFaults
from archer_bridge.devkit.serving import serving
from tests.devkit.phone.bridge import (
    MEDIA,
    Bridge,
    Peer,
    call,
    connect,
    hang_up_after,
    make_phone,
    numbered,
    silent,
    started,
    tone,
    twiml,
)
from tests.support.virtual import virtual


def faulty(**faults) -> PhoneOptions:
    return PhoneOptions(voice="tones", faults=StreamFaults(**faults))


def payloads(peer: Peer) -> bytes:
    return b"".join(base64.b64decode(message["media"]["payload"]) for message in peer.of("media"))


@virtual
async def test_the_upgrade_looks_like_twilios():
    bridge = Bridge({"/voice": [connect()]})

    await call(bridge, hang_up_after(0.1))

    (headers,) = bridge.upgrades
    assert RequestValidator(DEMO_ACCOUNT.auth_token).validate(MEDIA, {}, headers["x-twilio-signature"])
    assert headers["user-agent"] == "Twilio.TmeWs/1.0"
    assert headers["host"] == "bridge.example.test"
    assert not {"origin", "sec-websocket-extensions", "sec-websocket-protocol"} & set(headers)


@virtual
async def test_messages_come_in_order_with_string_counters_and_irregular_timestamps():
    bridge = Bridge({"/voice": [connect(inside="<Parameter name='token' value='t1'/>")]})

    report = await call(bridge, hang_up_after(2))

    peer = bridge.peers[0]
    numbered_messages = [m for m in peer.received if m["event"] != "connected"]
    media = peer.of("media")
    stamps = [int(message["media"]["timestamp"]) for message in media]
    steps = [later - earlier for earlier, later in zip(stamps, stamps[1:], strict=False)]
    assert peer.received[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert peer.received[-1]["event"] == "stop"
    assert peer.start["customParameters"] == {"token": "t1"}
    assert peer.start["callSid"] == report.call_sid
    assert [str(n) for n in range(1, len(numbered_messages) + 1)] == [m["sequenceNumber"] for m in numbered_messages]
    assert [str(n) for n in range(1, len(media) + 1)] == [m["media"]["chunk"] for m in media]
    assert 95 <= stamps[0] <= 180
    assert len(set(steps)) > 1
    assert all(15 <= step <= 25 for step in steps)
    assert abs(stamps[-1] - stamps[0] - 20 * (len(stamps) - 1)) <= 4


@virtual
async def test_silence_flows_all_the_time_and_speech_is_sent_as_said():
    bridge = Bridge({"/voice": [connect()]})
    speech = numbered(333)

    async def script(caller: Caller) -> None:
        await caller.wait(0.5)
        await caller.say_audio(speech)
        await caller.wait(0.5)
        await caller.hang_up()

    report = await call(bridge, script)

    received = payloads(bridge.peers[0])
    assert received == report.said[: len(received)]
    assert len(report.said) - len(received) < 160
    assert report.said.strip(b"\xff") == speech.strip(b"\xff")
    assert len(received) == 160 * report.streams[0].frames_sent


@virtual
async def test_what_is_heard_is_exact_to_the_byte():
    first, second, third = numbered(777) + b"\x05", numbered(400), tone(123)

    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(first)
        await peer.media(second[:5])
        await peer.media(second[5:])
        await peer.mark("one")
        await peer.until("mark")
        await peer.until("media", 50)
        await peer.media(third)
        await peer.mark("two")
        await peer.until("mark")

    report = await call(Bridge({"/voice": [connect()]}, agent))

    stream = report.streams[0]
    assert [segment.data for segment in report.played] == [first + second, third]
    assert report.heard_of(stream).strip(b"\xff") == (
        first
        + second
        + b"\xff" * round((report.played[1].start_ms - report.played[0].start_ms) * 8 - len(first + second))
        + third
    ).strip(b"\xff")
    assert len(report.heard) == len(report.said) == round(report.duration_ms * 8)
    assert [(m.name, m.why) for m in report.marks] == [("one", "played"), ("two", "played")]
    assert report.marks[0].echoed_ms == pytest.approx(report.played[0].start_ms + len(first + second) / 8, abs=0.2)
    assert report.violations == ()


@virtual
async def test_clear_echoes_every_outstanding_mark_and_the_rest_is_never_heard():
    agent_audio = numbered(2000)

    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.mark("nothing buffered")
        await peer.until("mark")
        await peer.media(agent_audio[:8000])
        await peer.mark("m1")
        await peer.media(agent_audio[8000:])
        await peer.mark("m2")
        await peer.mark("m3")
        await peer.until("media", 25)
        await peer.clear()
        await peer.media(tone(100))
        await peer.mark("after")
        await peer.until("mark", 4)

    bridge = Bridge({"/voice": [connect()]}, agent)
    report = await call(bridge)

    heard = b"".join(segment.data for segment in report.played)
    whys = [(mark.name, mark.why) for mark in report.marks]
    assert whys == [
        ("nothing buffered", "played"),
        ("m1", "flushed"),
        ("m2", "flushed"),
        ("m3", "flushed"),
        ("after", "played"),
    ]
    assert [m["mark"]["name"] for m in bridge.peers[0].of("mark")] == [name for name, _ in whys]
    assert heard == agent_audio[: len(heard) - 800] + tone(100)
    assert report.flushed_bytes == len(agent_audio) - (len(heard) - 800)
    assert len(report.clears_ms) == 1


@virtual
async def test_audio_buffered_when_the_bridge_closes_is_never_heard():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(numbered(1000))
        await peer.mark("goodbye")
        await peer.until("media", 10)

    report = await call(Bridge({"/voice": [connect()]}, agent))

    stream = report.streams[0]
    heard = b"".join(segment.data for segment in stream.played)
    assert stream.unplayed_bytes == 8000 - len(heard) > 0
    assert [(m.name, m.echoed_ms, m.why) for m in stream.marks] == [("goodbye", None, "unplayed")]
    assert (stream.end.by, stream.end.close_code, stream.end.error_code) == ("server_closed", 1000, 31921)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"\x00\x01", 31950, id="binary"),
        pytest.param("nonsense", 31951, id="not JSON"),
        pytest.param(json.dumps({"event": "clear", "streamSid": "MZ0"}), 31951, id="wrong streamSid"),
        pytest.param(json.dumps({"event": "clear", "streamSid": "{sid}", "x": 1}), 31951, id="extra field"),
        pytest.param(
            json.dumps({"event": "media", "streamSid": "{sid}", "media": {"payload": "UklGRgAAAAA="}}),
            31951,
            id="WAV header",
        ),
    ],
)
@virtual
async def test_violations_are_found_and_the_call_goes_on(frame, code):
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.raw(frame if isinstance(frame, bytes) else frame.replace("{sid}", peer.sid))
        await peer.media(tone(40))
        await peer.mark("m")
        await peer.until("mark")

    report = await call(Bridge({"/voice": [connect()]}, agent))

    assert [violation.code for violation in report.violations] == [code]
    assert report.played[-1].data.endswith(tone(40))


@virtual
async def test_gaps_lose_frames_and_the_timestamp_jumps():
    bridge = Bridge({"/voice": [connect()]})

    report = await call(bridge, hang_up_after(1), options=faulty(gaps=(Span(200, 100),)))

    stamps = [int(message["media"]["timestamp"]) for message in bridge.peers[0].of("media")]
    jumps = [b - a for a, b in zip(stamps, stamps[1:], strict=False) if b - a > 50]
    assert report.streams[0].frames_lost == 5
    assert len(jumps) == 1
    assert 112 <= jumps[0] <= 128


@virtual
async def test_a_burst_is_held_back_and_then_complete():
    arrivals: list[tuple[float, int]] = []

    async def agent(peer: Peer) -> None:
        loop_time = asyncio.get_running_loop().time
        while True:
            message = await peer.receive()
            if message["event"] == "media":
                arrivals.append((loop_time(), int(message["media"]["chunk"])))

    bridge = Bridge({"/voice": [connect()]}, agent)
    await call(bridge, hang_up_after(1), options=faulty(bursts=(Span(200, 200),)))

    waits = [later[0] - earlier[0] for earlier, later in zip(arrivals, arrivals[1:], strict=False)]
    assert list(range(1, len(arrivals) + 1)) == [chunk for _, chunk in arrivals]
    assert max(waits) > 0.19
    assert sum(wait < 0.005 for wait in waits) >= 9


@pytest.mark.parametrize(
    ("faults", "events"),
    [
        pytest.param({"start": "late", "start_delay_s": 0.5}, ["connected", "start", "media"], id="late"),
        pytest.param({"start": "never"}, ["connected"], id="never"),
        pytest.param({"start": "duplicate"}, ["connected", "start", "start", "media"], id="duplicate"),
        pytest.param({"media_before_start": 2}, ["connected", "media", "media", "start", "media"], id="media first"),
    ],
)
@virtual
async def test_start_faults(faults, events):
    bridge = Bridge({"/voice": [connect()]})

    await call(bridge, hang_up_after(1), options=faulty(**faults))

    assert events == [message["event"] for message in bridge.peers[0].received][: len(events)]


@pytest.mark.parametrize(
    ("faults", "has_stop", "is_closed"),
    [
        pytest.param({}, True, True, id="polite"),
        pytest.param({"no_stop": True}, False, True, id="no stop"),
        pytest.param({"abrupt_end": True}, False, False, id="reset"),
    ],
)
@virtual
async def test_how_the_stream_ends_when_the_caller_hangs_up(faults, has_stop, is_closed):
    codes: list[int] = []

    async def agent(peer: Peer) -> None:
        while True:
            message = await peer.socket.receive()
            if message["type"] == "websocket.disconnect":
                codes.append(message["code"])
                return
            peer.received.append(json.loads(message["text"]))

    bridge = Bridge({"/voice": [connect()]}, agent)
    report = await call(bridge, hang_up_after(0.5), options=faulty(**faults))

    assert has_stop == bool(bridge.peers[0].of("stop"))
    assert is_closed == (codes == [1000])
    assert (report.ended_by, report.streams[0].end.by) == ("caller", "caller")


@virtual
async def test_lost_and_delayed_mark_echoes():
    async def agent(peer: Peer) -> None:
        await started(peer)
        for name in ("a", "b", "c"):
            await peer.mark(name)
        await peer.until("mark", 2)

    bridge = Bridge({"/voice": [connect()]}, agent)
    report = await call(bridge, options=faulty(lost_marks=frozenset({2}), mark_echo_delay_ms=300))

    assert [m["mark"]["name"] for m in bridge.peers[0].of("mark")] == ["a", "c"]
    assert [mark.echoed_ms is None for mark in report.marks] == [False, True, False]
    assert report.marks[0].echoed_ms is not None
    assert report.marks[0].echoed_ms - report.marks[0].sent_ms == pytest.approx(300, abs=1)


@virtual
async def test_probability_one_loses_every_mark():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.mark("a")
        await peer.drain()

    bridge = Bridge({"/voice": [connect()]}, agent)
    await call(bridge, hang_up_after(1), options=faulty(lost_mark_probability=1.0))

    assert bridge.peers[0].of("mark") == []


@pytest.mark.parametrize(
    ("bridge", "faults", "code", "violations"),
    [
        pytest.param(Bridge(accepts=False), {}, 31920, [31920], id="refused upgrade"),
        pytest.param(Bridge(accepts=False), {"signature_form": "wrong"}, 31920, [], id="rightly refused"),
        pytest.param(Bridge(stream=lambda peer: _reset(peer)), {}, 31903, [31903], id="bridge resets"),
        pytest.param(Bridge(), {"abrupt_at_ms": 300.0}, 31903, [], id="twilio resets"),
        pytest.param(Bridge(), {"half_dead_at_ms": 300.0, "half_dead_for_s": 3.0}, 31903, [], id="half dead"),
    ],
)
@virtual
async def test_a_broken_stream_falls_through_to_the_next_verb(bridge, faults, code, violations):
    bridge.answers = {"/voice": [connect("<Say>Sorry.</Say>")]}

    report = await call(bridge, options=faulty(**faults))

    assert report.verbs == ("Connect", "Say")
    assert report.streams[0].end.error_code == code
    assert violations == [violation.code for violation in report.violations]


async def _reset(peer: Peer) -> None:
    await started(peer)
    await peer.until("media", 5)
    peer.reset()


@virtual
async def test_after_a_tcp_loss_the_call_may_also_end():
    bridge = Bridge({"/voice": [connect("<Say>Sorry.</Say>")]}, _reset)

    report = await call(bridge, options=PhoneOptions(voice="tones", after_tcp_loss="end"))

    assert (report.verbs, report.ended_by) == (("Connect",), "error")


@pytest.mark.parametrize(
    ("stream", "outcome"),
    [
        pytest.param(Peer.drain, "stayed open", id="taken"),
        pytest.param(None, "closed: 1008", id="closed"),
    ],
)
@virtual
async def test_a_second_socket_for_the_same_call_is_watched(stream, outcome):
    async def only_one(peer: Peer) -> None:
        await started(peer)
        await (peer.socket.close(1008) if len(bridge.peers) > 1 else peer.drain())

    bridge = Bridge({"/voice": [connect()]}, stream or only_one)
    report = await call(bridge, hang_up_after(8), options=faulty(second_socket_at_ms=500.0))

    assert outcome == report.streams[0].second_socket
    assert [peer.start["callSid"] for peer in bridge.peers] == [report.call_sid] * 2
    assert len({peer.sid for peer in bridge.peers}) == 2


@virtual
async def test_a_slow_reader_gets_everything_later():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.until("media", 20)
        await peer.media(tone(100))
        await peer.mark("m")
        await peer.until("mark")

    report = await call(Bridge({"/voice": [connect()]}, agent), options=faulty(slow_reader=Span(200, 2000)))

    assert report.played[0].start_ms >= 2200
    assert report.played[0].data == tone(100)


@virtual
async def test_a_message_before_start_is_a_violation():
    async def agent(peer: Peer) -> None:
        peer.start = {"streamSid": "MZ0"}
        await peer.clear()
        await peer.drain()

    bridge = Bridge({"/voice": [connect()]}, agent)
    report = await call(bridge, hang_up_after(3), options=faulty(start="late"))

    assert [violation.code for violation in report.violations] == [31951]


@virtual
async def test_a_stream_without_marks_and_media_is_silent():
    report = await call(Bridge({"/voice": [connect()]}), hang_up_after(1))

    assert set(report.heard) == {0xFF}
    assert report.played == ()


def test_a_whole_call_also_runs_in_real_time():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(tone(60))
        await peer.mark("m")
        await peer.until("mark")

    report = asyncio.run(call(Bridge({"/voice": [connect()]}, agent), silent))

    assert [segment.data for segment in report.played] == [tone(60)]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    writer.write("\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept_key(key)}", "", "")).encode())


async def broken_framing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upgrade(reader, writer)
    writer.write(b"\x83\x00")  # opcode 3 is reserved
    await reader.read()
    writer.close()


async def no_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upgrade(reader, writer)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(30)
    writer.transport.abort()


async def call_raw(serve: Serve | None, script: CallerScript) -> CallReport:
    """Place a call whose stream goes to a server of bytes; None is a port nobody listens on."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    port = listener.getsockname()[1]
    served_one = asyncio.Event()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert serve is not None
        await serve(reader, writer)
        served_one.set()

    bridge = Bridge({"/voice": [twiml("<Connect><Stream url='wss://raw.example.test/media'/></Connect>")]})
    async with AsyncExitStack() as stack:
        if serve is None:
            listener.close()
            served_one.set()
        else:
            await stack.enter_async_context(await asyncio.start_server(serve_one, sock=listener))
        served = await stack.enter_async_context(serving(bridge.app))
        hosts = {"raw.example.test": ("127.0.0.1", port), "bridge.example.test": (served.host, served.port)}
        report = await make_phone(served, connect_to=hosts).call(script)
        await served_one.wait()
        return report


@pytest.mark.parametrize(
    ("serve", "code"),
    [
        pytest.param(broken_framing, 31924, id="broken framing"),
        pytest.param(no_answer, 31901, id="nobody answers"),
        pytest.param(None, 31902, id="nobody listens"),
    ],
)
@virtual
async def test_servers_that_are_no_websocket_servers(serve, code):
    report = await call_raw(serve, silent)

    assert (report.streams[0].end.error_code, [v.code for v in report.violations]) == (code, [code])


@virtual
async def test_a_bridge_that_does_not_read_loses_caller_audio_and_not_the_call():
    report = await call_raw(deaf, hang_up_after(25))

    stream = report.streams[0]
    assert (report.ended_by, [violation.code for violation in report.violations]) == ("caller", [31930])
    assert stream.frames_lost > 0
    assert stream.frames_sent + stream.frames_lost == pytest.approx(1250, abs=2)
