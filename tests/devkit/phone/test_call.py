"""A call's control flow: webhooks, verbs, fallbacks, callbacks."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from twilio.request_validator import RequestValidator

from archer_bridge.devkit.phone import (
    ALL_STATUS_EVENTS,
    DEMO_ACCOUNT,
    AgentSilent,
    Caller,
    PhoneOptions,
    StatusCallback,
)
from tests.devkit.phone.bridge import (
    CALLED,
    CALLER,
    MEDIA,
    PUBLIC,
    Bridge,
    Peer,
    call,
    connect,
    hang_up_after,
    phone_for,
    started,
    tone,
    twiml,
    words,
)
from tests.support.virtual import virtual

CANNED = "We are sorry. An application error has occurred. Goodbye."


async def say_and_close(peer: Peer) -> None:
    await started(peer)
    await peer.media(tone(200))
    await peer.mark("bye")
    await peer.until("mark")


@virtual
async def test_the_voice_webhook_is_twilios():
    bridge = Bridge({"/voice": [twiml("<Hangup/>")]})

    report = await call(
        bridge, options=PhoneOptions(voice="tones", extra_form={"StirVerstat": "TN-Validation-Passed-A"})
    )

    ((path, form, headers),) = bridge.requests
    assert path == "/voice"
    assert RequestValidator(DEMO_ACCOUNT.auth_token).validate(PUBLIC + path, form, headers["x-twilio-signature"])
    assert headers["host"] == "bridge.example.test"
    assert headers["user-agent"] == "TwilioProxy/1.1"
    assert headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"
    assert len(headers["i-twilio-idempotency-token"]) >= 32
    assert {
        "AccountSid": DEMO_ACCOUNT.account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": report.call_sid,
        "CallStatus": "ringing",
        "Called": CALLED,
        "Caller": CALLER,
        "Direction": "inbound",
        "From": CALLER,
        "StirVerstat": "TN-Validation-Passed-A",
        "To": CALLED,
    }.items() <= form.items()
    assert form["FromCity"] == ""


async def _slow(_request: Request) -> Response:
    await asyncio.sleep(20)
    return twiml("<Hangup/>")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(Response(status_code=500), 11200, id="500"),
        pytest.param(Response(status_code=429), 11200, id="429"),
        pytest.param(_slow, 11200, id="too slow"),
        pytest.param(Response("<Response>", media_type="text/xml"), 12100, id="not XML"),
        pytest.param(Response("<Nope/>", media_type="text/xml"), 12102, id="not TwiML"),
        pytest.param(Response("{}", media_type="application/json"), 12300, id="wrong content type"),
        pytest.param(Response("<Response/>" + " " * 65536, media_type="text/xml"), 11750, id="too long"),
        pytest.param(RedirectResponse("/voice", 307), 11215, id="redirect loop"),
    ],
)
@virtual
async def test_a_failing_webhook_goes_to_the_fallback_url(answer, code):
    bridge = Bridge({"/voice": [answer], "/fallback": [twiml("<Say>Please call later.</Say>")]})

    report = await call(bridge, fallback_url=f"{PUBLIC}/fallback")

    (form,) = bridge.forms("/fallback")
    assert (str(code), f"{PUBLIC}/voice") == (form["ErrorCode"], form["ErrorUrl"])
    assert form["CallSid"] == report.call_sid
    assert code in [violation.code for violation in report.violations]
    assert (report.ended_by, report.verbs) == ("bridge", ("Say",))


@virtual
async def test_without_a_fallback_the_caller_hears_the_canned_error_and_the_call_ends():
    report = await call(Bridge({"/voice": [Response(status_code=500)]}))

    assert report.ended_by == "error"
    assert words(report.heard) == CANNED


@virtual
async def test_a_failing_fallback_ends_in_the_canned_error():
    report = await call(Bridge({"/voice": [Response(status_code=500)]}), fallback_url=f"{PUBLIC}/fallback")

    assert report.ended_by == "error"
    assert [v.code for v in report.violations] == [11200, 11200]


@virtual
async def test_plain_text_is_read_aloud():
    report = await call(Bridge({"/voice": [Response("Hello you.", media_type="text/plain")]}))

    assert words(report.heard) == "Hello you."
    assert [v.code for v in report.violations] == [12300]


@virtual
async def test_a_refused_connection_is_tried_twice_with_the_same_token():
    bridge = Bridge({"/fallback": [twiml("<Hangup/>")]})
    async with phone_for(bridge) as phone:
        served = phone.route.overrides["bridge.example.test"]
        phone.webhook_url = "https://down.example.test/voice"
        phone.route = type(phone.route)({"down.example.test": ("127.0.0.1", 9), "bridge.example.test": served})
        phone.fallback_url = f"{PUBLIC}/fallback"
        report = await phone.call(hang_up_after(5))

    assert [(t.purpose, t.attempt, t.status) for t in report.requests] == [
        ("webhook", 1, None),
        ("webhook", 2, None),
        ("fallback", 1, 200),
    ]
    assert bridge.forms("/fallback")[0]["ErrorCode"] == "11205"


@virtual
async def test_overrides_in_the_fragment_retry_on_5xx_and_are_not_signed():
    bridge = Bridge({"/voice": [Response(status_code=503), twiml("<Hangup/>")]})
    async with phone_for(bridge) as phone:
        phone.webhook_url += "#rc=2&rp=5xx"
        report = await phone.call(hang_up_after(5))

    tokens = {headers["i-twilio-idempotency-token"] for _, _, headers in bridge.requests}
    assert [t.status for t in report.requests] == [503, 200]
    assert len(tokens) == 1
    assert report.requests[0].url == f"{PUBLIC}/voice"


@virtual
async def test_a_302_loses_the_parameters():
    bridge = Bridge({"/voice": [RedirectResponse("/moved", 302)], "/moved": [twiml("<Hangup/>")]})

    report = await call(bridge)

    assert bridge.forms("/moved") == [{}]
    assert [(t.method, t.status) for t in report.requests] == [("POST", 302), ("GET", 200)]


@virtual
async def test_cookies_come_back():
    first = twiml("<Redirect>/next</Redirect>")
    first.set_cookie("call", "42")
    bridge = Bridge({"/voice": [first], "/next": [twiml("<Hangup/>")]})

    await call(bridge)

    assert bridge.requests[1][2]["cookie"] == "call=42"


@virtual
async def test_a_duplicate_webhook_carries_the_same_token():
    bridge = Bridge({"/voice": [twiml("<Hangup/>")]})

    report = await call(bridge, options=PhoneOptions(voice="tones", duplicate_webhook=True))

    tokens = [headers["i-twilio-idempotency-token"] for _, _, headers in bridge.requests]
    assert len(tokens) == 2
    assert len(set(tokens)) == 1
    assert {t.purpose for t in report.requests} == {"webhook", "duplicate"}


@virtual
async def test_after_the_bridge_closes_connect_action_is_asked_and_followed():
    bridge = Bridge(
        {
            "/voice": [connect("<Say>never</Say>", attributes=" action='/ended'")],
            "/ended": [twiml("<Say>Goodbye.</Say><Hangup/><Say>never</Say>")],
        },
        say_and_close,
    )

    report = await call(bridge)

    (form,) = bridge.forms("/ended")
    assert form["CallStatus"] == "in-progress"
    assert report.verbs == ("Connect", "Say", "Hangup")
    assert words(report.heard[round(report.streams[0].end_ms * 8) :]) == "Goodbye."
    assert report.ended_by == "bridge"


@virtual
async def test_without_action_and_verbs_the_call_ends_when_the_bridge_closes():
    report = await call(Bridge({"/voice": [connect()]}, say_and_close))

    assert (report.ended_by, report.end_detail) == ("bridge", "no verb left")
    assert report.duration_ms == pytest.approx(report.streams[0].end_ms, abs=50)


@virtual
async def test_an_action_can_reconnect_with_a_new_stream():
    bridge = Bridge(
        {"/voice": [connect(attributes=" action='/again'")], "/again": [connect("<Hangup/>")]}, say_and_close
    )

    report = await call(bridge)

    assert len({stream.stream_sid for stream in report.streams}) == 2
    assert [peer.start["callSid"] for peer in bridge.peers] == [report.call_sid] * 2


@virtual
async def test_say_comes_before_the_socket_opens():
    bridge = Bridge(
        {"/voice": [twiml(f"<Say>Welcome.</Say><Connect><Stream url='{MEDIA}'/></Connect>")]}, say_and_close
    )

    report = await call(bridge)

    greeting_ms = report.streams[0].start_ms
    assert words(report.heard[: round(greeting_ms * 8)]) == "Welcome."
    assert report.played[0].start_ms >= greeting_ms > 0


@virtual
async def test_pause_play_and_redirect_take_their_time():
    bridge = Bridge({"/voice": [twiml("<Pause length='2'/><Play digits='w1'/><Redirect>/end</Redirect>")]})
    bridge.answers["/end"] = [twiml("<Hangup/>")]

    report = await call(bridge)

    assert report.verbs == ("Pause", "Play", "Redirect", "Hangup")
    assert report.duration_ms == pytest.approx(2000 + 500 + 200, abs=20)
    assert set(report.heard[: 2500 * 8]) == {0xFF}
    assert set(report.heard[2500 * 8 :]) != {0xFF}


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
@virtual
async def test_reject_does_not_answer(reason, status):
    bridge = Bridge({"/voice": [twiml(f"<Reject reason='{reason}'/>")], "/status": [Response(status_code=204)]})

    report = await call(bridge, status_callback=f"{PUBLIC}/status")

    assert (report.ended_by, report.duration_ms, report.heard) == ("rejected", 0.0, b"")
    assert [form["CallStatus"] for form in bridge.forms("/status")] == [status]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param("completed", {"DialBridged": "true", "DialCallDuration": "5"}, id="completed"),
        pytest.param("busy", {"DialBridged": "false"}, id="busy"),
        pytest.param("no-answer", {"DialBridged": "false"}, id="no answer"),
        pytest.param("failed", {"DialBridged": "false"}, id="failed"),
    ],
)
@virtual
async def test_dial_asks_its_action(outcome, expected):
    bridge = Bridge({"/voice": [twiml("<Dial action='/dialled'>+15550101</Dial>")]})
    bridge.answers["/dialled"] = [twiml("<Hangup/>")]

    report = await call(bridge, options=PhoneOptions(voice="tones", dial_outcome=outcome))

    (form,) = bridge.forms("/dialled")
    assert expected.items() <= form.items()
    assert form["DialCallStatus"] == outcome
    assert form["DialCallSid"].startswith("CA")
    assert report.verbs == ("Dial", "Hangup")
    assert (words(report.heard) == "Hello, this is the payments desk.") == (outcome == "completed")


@virtual
async def test_status_callbacks_are_signed_and_numbered():
    bridge = Bridge({"/voice": [connect()], "/status": [Response(status_code=204)]})

    report = await call(bridge, hang_up_after(3), status_callback=StatusCallback(f"{PUBLIC}/status", ALL_STATUS_EVENTS))

    forms = bridge.forms("/status")
    signed = [(f, h) for path, f, h in bridge.requests if path == "/status"]
    assert sorted(form["SequenceNumber"] for form in forms) == ["0", "1", "2", "3"]
    assert {form["CallStatus"] for form in forms} == {"queued", "ringing", "in-progress", "completed"}
    assert forms[-1]["CallDuration"] == "3"
    assert forms[-1]["Duration"] == "1"
    assert forms[-1]["CallbackSource"] == "call-progress-events"
    validator = RequestValidator(DEMO_ACCOUNT.auth_token)
    assert all(validator.validate(f"{PUBLIC}/status", f, h["x-twilio-signature"]) for f, h in signed)
    assert list(report.statuses) == forms


@pytest.mark.parametrize(
    ("accepts", "events", "says"),
    [
        pytest.param(True, ["stream-started", "stream-stopped"], "31921", id="closed by the bridge"),
        pytest.param(False, ["stream-error"], "31920", id="refused"),
    ],
)
@virtual
async def test_stream_status_callbacks(accepts, events, says):
    bridge = Bridge({"/voice": [connect(stream=f" statusCallback='{PUBLIC}/stream'")]}, say_and_close, accepts)
    bridge.answers["/stream"] = [Response(status_code=204)]

    report = await call(bridge)

    forms = bridge.forms("/stream")
    assert events == [form["StreamEvent"] for form in forms]
    assert says in forms[-1]["StreamError"]
    assert {"AccountSid", "CallSid", "StreamSid", "StreamName", "Timestamp"} <= set(forms[0])
    assert len(forms[0]["Timestamp"].partition(".")[2]) == len("602648368Z")
    assert report.streams[0].stream_sid == forms[0]["StreamSid"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param("<Connect><Stream url='ws://bridge.example.test/media'/></Connect>", 31922, id="ws"),
        pytest.param(f"<Connect><Stream url='{MEDIA}?a=1'/></Connect>", 31920, id="query"),
        pytest.param(f"<Connect><Stream url='{MEDIA}' track='both_tracks'/></Connect>", 31941, id="track"),
    ],
)
@virtual
async def test_a_stream_twilio_would_not_open_falls_through(body, code):
    report = await call(Bridge({"/voice": [twiml(body + "<Say>Sorry.</Say>")]}))

    assert [violation.code for violation in report.violations] == [code]
    assert report.verbs == ("Connect", "Say")
    assert report.streams == ()


@virtual
async def test_a_relative_stream_url_takes_the_documents_host():
    bridge = Bridge({"/voice": [twiml("<Connect><Stream url='/media'/></Connect>")]}, say_and_close)

    report = await call(bridge)

    assert (report.streams[0].url, report.violations) == (MEDIA, ())


@virtual
async def test_events_tell_the_call_live():
    seen: list[str] = []
    bridge = Bridge({"/voice": [connect("<Hangup/>")]}, say_and_close)

    await call(bridge, on_event=lambda event: seen.append(f"{event.kind} {event.text}".strip()))

    assert [s for s in seen if not s.startswith("ringing")] == [
        "twiml Connect",
        "answered",
        "stream started",
        "agent_audio_started",
        "mark bye",
        "stream stopped",
        "twiml Hangup",
        "agent_audio_ended",
        "ended bridge Hangup",
    ]


@virtual
async def test_the_time_limit_ends_the_call():
    report = await call(Bridge({"/voice": [connect()]}), options=PhoneOptions(voice="tones", max_call_s=3))

    assert (report.ended_by, report.duration_ms) == ("time_limit", pytest.approx(3000, abs=100))


@virtual
async def test_a_caller_who_waits_in_vain_hangs_up_and_the_report_says_so():
    async def script(caller: Caller) -> None:
        await caller.agent_finished(timeout_s=4)

    report = await call(Bridge({"/voice": [connect()]}), script)

    assert report.ended_by == "caller"
    assert report.script_error == "waited 4 s for the agent to speak, in vain, until 4000 ms"


@virtual
async def test_a_bug_in_the_script_surfaces_after_hanging_up():
    bridge = Bridge({"/voice": [connect()]})

    async def script(caller: Caller) -> None:
        await caller.wait(1)
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        await call(bridge, script)

    assert bridge.peers[0].received[-1]["event"] == "stop"


def test_agent_silent_keeps_its_facts():
    error = AgentSilent("speak", 4, 4000.0)

    assert (error.waited_for, error.timeout_s, error.at_ms) == ("speak", 4, 4000.0)


@virtual
async def test_hanging_up_during_say_leaves_the_rest_unheard():
    text = "This sentence is much longer than the caller's patience."

    report = await call(Bridge({"/voice": [twiml(f"<Say>{text}</Say><Say>never</Say>")]}), hang_up_after(1.2))

    heard = words(report.heard)
    assert heard
    assert text.startswith(heard)
    assert len(heard) < len(text)
    assert (report.ended_by, report.verbs) == ("caller", ("Say",))


@virtual
async def test_hanging_up_while_the_bridge_thinks_abandons_the_request():
    bridge = Bridge({"/voice": [twiml("<Pause/><Redirect>/slow</Redirect>")], "/slow": [_slow]})

    report = await call(bridge, hang_up_after(3))

    assert (report.ended_by, report.duration_ms) == ("caller", pytest.approx(3000, abs=20))
    assert (report.requests[-1].status, report.requests[-1].error) == (None, "abandoned")


@virtual
async def test_a_get_has_its_parameters_in_the_signed_url():
    bridge = Bridge({"/voice": [twiml("<Redirect method='GET'>/next?a=1</Redirect>")], "/next": [twiml("<Hangup/>")]})

    report = await call(bridge)

    path, form, headers = bridge.requests[1]
    url = report.requests[1].url
    assert (path, form["a"], form["CallSid"]) == ("/next", "1", report.call_sid)
    assert RequestValidator(DEMO_ACCOUNT.auth_token).validate(url, {}, headers["x-twilio-signature"])


@pytest.mark.parametrize(
    ("url", "answer", "code"),
    [
        pytest.param(f"{PUBLIC}/status", Response(status_code=500), 11200, id="500"),
        pytest.param(f"{PUBLIC}/status", Response("ok", media_type="text/plain"), 12300, id="not TwiML"),
        pytest.param("/status", Response(), 11200, id="relative"),
        pytest.param("https://my_host.test/status", Response(), 11200, id="underscore"),
    ],
)
@virtual
async def test_bad_status_callbacks_are_noted_and_do_no_harm(url, answer, code):
    bridge = Bridge({"/voice": [twiml("<Hangup/>")], "/status": [answer]})

    report = await call(bridge, status_callback=url)

    assert (report.ended_by, [violation.code for violation in report.violations]) == ("bridge", [code])


@virtual
async def test_a_late_reject_hangs_up():
    report = await call(Bridge({"/voice": [twiml("<Pause/><Reject/><Say>never</Say>")]}))

    assert (report.ended_by, report.verbs) == ("bridge", ("Pause", "Reject"))


@virtual
async def test_dial_without_action_goes_on_with_the_next_verb():
    report = await call(Bridge({"/voice": [twiml("<Dial>+15550101</Dial><Hangup/>")]}))

    assert report.verbs == ("Dial", "Hangup")


@virtual
async def test_an_empty_document_answers_and_ends():
    report = await call(Bridge({"/voice": [twiml("")]}))

    assert (report.ended_by, report.end_detail, report.verbs) == ("bridge", "no verb left", ())


@virtual
async def test_an_unreadable_cookie_is_a_violation():
    answer = twiml("<Hangup/>")
    answer.headers["set-cookie"] = "bad,=1"

    report = await call(Bridge({"/voice": [answer]}))

    assert [violation.code for violation in report.violations] == [11206]


@virtual
async def test_warnings_about_twiml_are_violations():
    report = await call(Bridge({"/voice": [twiml("<Speak>Hello</Speak><Hangup/>")]}))

    assert [(v.code, v.detail) for v in report.violations] == [
        (
            12200,
            "<Speak> is not allowed in <Response>: expected Connect, Dial, Hangup, Pause, Play, Redirect, Reject, Say",
        )
    ]
