"""The public address: its form, the signatures over it, and what answers there."""

from urllib.parse import urlsplit

from twilio.request_validator import RequestValidator

from archer_bridge.adapters.ngrok import is_ngrok_address
from archer_bridge.adapters.twilio_rest import STATUS_PATH, VOICE_PATH
from archer_bridge.adapters.web_client import RequestFailed, Step, fetch
from archer_bridge.cli.checks.verdict import Verdict, fail, ok, skip, warn
from archer_bridge.config import Settings
from archer_bridge.protocols.twilio_signature import SignatureChecker

STREAM_PATH = "/ws/cartesia"
NO_CALL = "CA" + "0" * 32
"""No call has this id: the bridge checks the signature, finds no such call and changes nothing."""
NO_URL, NO_TOKEN = "WEBHOOK_BASE_URL is not set", "TWILIO_AUTH_TOKEN is not set"
TIMEOUT_S = 10.0


def public_url(settings: Settings) -> Verdict:
    """Whether the address is one that Twilio could reach."""
    url = settings.server.public_url
    if not url:
        return skip(NO_URL)
    parts = urlsplit(url)
    if parts.scheme != "https":
        return warn(f"{url} is this machine only", "for real calls set WEBHOOK_BASE_URL to an https address")
    if parts.path:
        return warn(f"{url} has a path", f"your proxy must take {parts.path} away before it passes requests on")
    if is_ngrok_address(url):
        return ok(f"{url} (ngrok; a new one with every start unless it is reserved)")
    return ok(url)


def signature(settings: Settings) -> Verdict:
    """Whether what is signed with our token for our address is accepted, and nothing else is."""
    tokens = [settings.twilio.auth_token.get_secret_value(), settings.twilio.auth_token_secondary.get_secret_value()]
    url = settings.server.public_url
    if not url or not tokens[0]:
        return skip(NO_TOKEN if url else NO_URL)
    checker, form = SignatureChecker(tokens, url), {"CallSid": NO_CALL, "From": "+15550100001"}
    socket_url = settings.websocket_url()
    for token in filter(None, tokens):
        sign = RequestValidator(token).compute_signature
        if not checker.accepts_webhook(VOICE_PATH, form, sign(url + VOICE_PATH, form)):
            return fail(f"a good signature of {url}{VOICE_PATH} is refused", "check WEBHOOK_BASE_URL")
        if not checker.accepts_upgrade(STREAM_PATH, sign(socket_url, {})):
            return fail(f"a good signature of {socket_url} is refused", "check WEBHOOK_BASE_URL")
    forged = RequestValidator("x" + tokens[0]).compute_signature(url + VOICE_PATH, form)
    if checker.accepts_webhook(VOICE_PATH, form, forged):
        return fail("a signature by another token is accepted", "report this: nobody should run this version")
    return ok(f"webhook and {socket_url} verified, forged one refused")


async def reachable(settings: Settings) -> Verdict:
    """Whether this bridge answers at the public address."""
    url = settings.server.public_url
    if not url:
        return skip(NO_URL)
    try:
        answer = await fetch(f"{url}/healthz", timeout_s=TIMEOUT_S)
    except RequestFailed as error:
        return _unreachable(error)
    found = answer.json()
    if answer.status == 200 and isinstance(found, dict) and found.get("status") == "ok":
        return ok(f"archer-bridge {found.get('version', '?')} answers")
    if answer.status >= 500 or (answer.status == 404 and is_ngrok_address(url)):
        return warn(
            f"something answers {answer.status} there, but no bridge",
            "start the bridge (archer dev, or archer serve) and let the tunnel or proxy lead to it",
        )
    return fail(
        f"{url}/healthz answers {answer.status}, and it is not this bridge",
        f"let the proxy pass {url}/ on to server.host and server.port, {settings.server.host}:{settings.server.port}",
    )


async def signed_request(settings: Settings) -> Verdict:
    """Whether the bridge at the public address takes what we sign and refuses what nobody signed."""
    url, token = settings.server.public_url, settings.twilio.auth_token.get_secret_value()
    if not url or not token:
        return skip(NO_TOKEN if url else NO_URL)
    form = {"CallSid": NO_CALL, "CallStatus": "ringing"}
    if settings.twilio.account_sid:
        form["AccountSid"] = settings.twilio.account_sid
    signed = {"X-Twilio-Signature": RequestValidator(token).compute_signature(url + STATUS_PATH, form)}
    try:
        good = await fetch(url + STATUS_PATH, method="POST", form=form, headers=signed, timeout_s=TIMEOUT_S)
        bad = await fetch(url + STATUS_PATH, method="POST", form=form, timeout_s=TIMEOUT_S)
    except RequestFailed as error:
        return skip(f"no bridge answers there: {error.detail}")
    match good.status, bad.status:
        case 200, 403:
            return ok("the bridge there takes our signature and refuses a request without one")
        case 200, 200:
            return fail("the bridge there takes requests that nobody signed", "turn server.insecure_dev off")
        case 403, _:
            return fail(
                "the bridge there refuses our signature",
                "run it with the same TWILIO_AUTH_TOKEN and WEBHOOK_BASE_URL, and let the proxy not change paths",
            )
    return skip(f"no bridge answers there: {good.status}")


def _unreachable(error: RequestFailed) -> Verdict:
    match error.step:
        case Step.NAME:
            return fail(error.detail, "check WEBHOOK_BASE_URL; a free tunnel's name is gone when the tunnel ends")
        case Step.TLS:
            return fail(error.detail, "Twilio needs a certificate that it can check: use a public authority's")
        case Step.ADDRESS:
            return fail(str(error), "check WEBHOOK_BASE_URL")
        case Step.CONNECT | Step.TIME | Step.ANSWER:
            return warn(
                f"the name resolves, but {error.detail}",
                "start the bridge (archer dev, or archer serve); if it runs, check the tunnel, proxy and firewall",
            )
