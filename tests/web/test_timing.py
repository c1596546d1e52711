"""Webhooks are measured, by route and status; nothing else is."""

from archer_bridge.app import create_app
from archer_bridge.devkit.serving import Served
from archer_bridge.memory_store import MemoryStore
from archer_bridge.testing import DANA
from tests.support.asgi import ask
from tests.support.forgery import genuine
from tests.support.twilio import voice_form
from tests.support.virtual import virtual
from tests.support.world import settings_for

SETTINGS = settings_for(Served("127.0.0.1", 9), "sqlite:///none.db")
FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


@virtual
async def test_webhooks_only() -> None:
    app = create_app(SETTINGS, store=MemoryStore([DANA]), isolate_tools=False)
    good = genuine("/webhooks/twilio/incoming", voice_form())
    async with app.router.lifespan_context(app):
        await ask(app, good.path, headers=[*good.headers, *FORM], body=good.body)
        await ask(app, good.path, headers=FORM, body=good.body)
        await ask(app, "/healthz")
        await ask(app, "/webhooks/twilio/nothing", headers=FORM, body=b"")
        timed = {key: tally.count for key, tally in app.state.service.vitals.webhooks.items()}

    assert timed == {("incoming", 200): 1, ("incoming", 403): 1}
