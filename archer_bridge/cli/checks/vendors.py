"""Twilio and Cartesia: do the keys work, does the number call us, does the agent have our tools."""

from archer_bridge.adapters.cartesia_rest import CartesiaApiError, CartesiaRest
from archer_bridge.adapters.cartesia_tools import PushError, PushPlan, definition, read_plan
from archer_bridge.adapters.plugins import load_tools
from archer_bridge.adapters.twilio_rest import (
    STATUS_PATH,
    NumberNotChosen,
    PhoneNumber,
    TwilioApiError,
    last_four,
    open_twilio,
    voice_webhook,
)
from archer_bridge.cli.checks.verdict import Verdict, fail, ok, skip, warn
from archer_bridge.config import Settings
from archer_bridge.errors import PluginError

CONSOLE = "https://console.twilio.com"


async def twilio_account(settings: Settings) -> Verdict:
    """Whether the auth token is this account's, so that signatures can be right, and the account works."""
    twilio = settings.twilio
    if not twilio.account_sid or not twilio.auth_token.get_secret_value():
        return skip("TWILIO_ACCOUNT_SID or TWILIO_AUTH_TOKEN is not set")
    try:
        async with open_twilio(twilio, by_token=True) as rest:
            account = await rest.account()
    except (TwilioApiError, ValueError) as error:
        return fail(str(error), f"copy the account SID and auth token from {CONSOLE}")
    if account.status != "active":
        return fail(f"the account is {account.status}", f"see what is wrong at {CONSOLE}")
    if account.kind == "Trial":
        return warn(
            "a trial account: callers hear Twilio's notice first, and only verified numbers may call or be called",
            f"upgrade it at {CONSOLE} before others call",
        )
    return ok(f"active, {account.kind or 'kind unknown'}")


async def twilio_number(settings: Settings) -> Verdict:
    """Whether calls to the phone number reach this bridge."""
    twilio, url = settings.twilio, settings.server.public_url
    if not twilio.account_sid or not (twilio.auth_token.get_secret_value() or twilio.api_key):
        return skip("TWILIO_ACCOUNT_SID or TWILIO_AUTH_TOKEN is not set")
    try:
        async with open_twilio(twilio) as rest:
            try:
                number = await rest.find_number(twilio.phone_number)
            except NumberNotChosen as error:
                return _several(error, await rest.numbers() if len(error.owned) > 1 else [], settings)
    except (TwilioApiError, ValueError) as error:
        return fail(str(error), "see also the Twilio account above")
    return _number(number, url)


async def cartesia_agent(settings: Settings) -> Verdict:
    """Whether the key works and the agent exists."""
    cartesia = settings.cartesia
    if not cartesia.api_key.get_secret_value() or not cartesia.agent_id:
        return skip("CARTESIA_API_KEY or CARTESIA_AGENT_ID is not set")
    try:
        async with _cartesia(settings) as rest:
            agent = await rest.agent(cartesia.agent_id)
    except (CartesiaApiError, ValueError) as error:
        return fail(str(error), "take the key and the agent's id from https://play.cartesia.ai")
    return ok(f"{agent.get('name') or 'unnamed'} ({cartesia.agent_id})")


async def cartesia_tools(settings: Settings) -> Verdict:
    """Whether the agent has the enabled tools, as they are described here."""
    cartesia = settings.cartesia
    if not cartesia.api_key.get_secret_value() or not cartesia.agent_id:
        return skip("CARTESIA_API_KEY or CARTESIA_AGENT_ID is not set")
    try:
        loaded = load_tools(settings.tools.enabled, local=settings.tools.local, settings=settings.tools.settings)
        wanted = [definition(tool, settings.tools.timeout_s) for tool in loaded.values()]
        async with _cartesia(settings) as rest:
            plan = await read_plan(rest, cartesia.agent_id, wanted)
    except PluginError:
        return skip("the tools do not load")
    except PushError as error:
        return fail("\n".join(error.problems), "then: archer tools push")
    except (CartesiaApiError, ValueError) as error:
        return skip(str(error))
    return _attached(plan, len(wanted))


def _cartesia(settings: Settings) -> CartesiaRest:
    cartesia = settings.cartesia
    return CartesiaRest(cartesia.rest_url, cartesia.api_key.get_secret_value(), version=cartesia.version)


def _attached(plan: PushPlan, count: int) -> Verdict:
    if plan.attach:
        return fail(f"the agent does not have {', '.join(plan.attach)}", "archer tools push")
    if plan.change:
        changed = ", ".join(change.name for change in plan.change)
        return warn(f"described differently at Cartesia: {changed}", "archer tools push")
    return ok(f"all {count} attached, as described here")


def _number(number: PhoneNumber, url: str) -> Verdict:
    if number.handler:
        return warn(
            f"{last_four(number.number)} is answered by the {number.handler}",
            f"make that call {voice_webhook(url or 'https://YOUR-HOST')} with POST, or detach it and: archer dev",
        )
    if not url:
        return skip("WEBHOOK_BASE_URL is not set")
    if not number.calls(url):
        return fail(
            f"{last_four(number.number)} does not call this bridge",
            f"set its voice webhook to POST {voice_webhook(url)} at {CONSOLE}; `archer dev` does it for you",
        )
    if number.status_callback != url + STATUS_PATH:
        return warn(
            f"{last_four(number.number)} calls this bridge, but does not report the status of calls",
            f"set its status callback to {url}{STATUS_PATH}; `archer dev` does it for you",
        )
    return ok(f"{last_four(number.number)} calls this bridge")


def _several(error: NumberNotChosen, numbers: list[PhoneNumber], settings: Settings) -> Verdict:
    """Judge an account of which no one number is meant: one of them should call us."""
    ours = [number for number in numbers if settings.server.public_url and number.calls(settings.server.public_url)]
    if error.wanted or not error.owned:
        return fail(str(error), "set twilio.phone_number to a number of this account, or leave it empty")
    if ours:
        return ok(f"{', '.join(last_four(number.number) for number in ours)} of {len(error.owned)} call this bridge")
    return fail(
        f"none of the account's {len(error.owned)} numbers calls this bridge",
        "set twilio.phone_number to the one that shall, and: archer dev",
    )
