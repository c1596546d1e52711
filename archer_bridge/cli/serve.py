"""`archer serve`: take calls."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from archer_bridge.config import Settings

ConfigOption = Annotated[Path | None, typer.Option("--config", help="The TOML file; default config.toml.")]


def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Listen here instead of server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Listen here instead of server.port.")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when the code changes (development).")] = False,
) -> None:
    """Take calls: the webhooks and the media stream on one port, the admin pages on another."""
    overrides = {"ARCHER_CONFIG": str(config) if config else None, "ARCHER_SERVER__HOST": host}
    overrides["ARCHER_SERVER__PORT"] = str(port) if port is not None else None
    os.environ.update({name: value for name, value in overrides.items() if value is not None})
    settings = checked_settings()
    if reload:
        _serve_reloading(settings)
    else:
        _run(_serve(settings))


def checked_settings() -> Settings:
    """Load the settings for serving and set up the log; exits 2 with every problem listed."""
    from archer_bridge import log
    from archer_bridge.config import load_settings
    from archer_bridge.errors import ConfigError

    try:
        settings = load_settings(serving=True)
    except ConfigError as error:
        typer.echo(f"{error}\nSee config.toml for every setting; `archer doctor` checks them one by one.", err=True)
        raise typer.Exit(2) from None
    log.configure(level=settings.log.level, style=settings.log.format)
    return settings


def _run(main: Any) -> None:
    from archer_bridge.errors import ArcherError

    loop_factory = None
    if sys.platform != "win32":
        import uvloop

        loop_factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main)
    except ArcherError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


async def _serve(settings: Settings) -> None:
    from archer_bridge.adapters.garbage import collect_unheard, keep_startup
    from archer_bridge.adapters.server import DrainServer, SideServer, bind, serve_both, server_config
    from archer_bridge.app import create_admin, create_app, drain
    from archer_bridge.web.stream import straight

    app = create_app(settings)
    sockets = bind(settings.server.host, settings.server.port, "server")
    side_sockets = bind(settings.admin.host, settings.admin.port, "admin") if settings.admin.enabled else []
    async with app.router.lifespan_context(app):
        keep_startup()
        main = DrainServer(server_config(straight(app)), name="public", drain=lambda: drain(app, settings))
        side = SideServer(server_config(create_admin(app, settings)), name="admin") if side_sockets else None
        live = app.state.service.live
        tidy = asyncio.create_task(collect_unheard(lambda: not len(live), lambda: live.totals.ended.total()))
        try:
            await serve_both(main, sockets, side, side_sockets)
        finally:
            tidy.cancel()


def _serve_reloading(settings: Settings) -> None:
    import uvicorn

    uvicorn.run(
        "archer_bridge.cli.serve:reloaded_app",
        factory=True,
        host=settings.server.host,
        port=settings.server.port,
        reload=True,
        reload_dirs=[folder for folder in ("archer_bridge", "codecs", "tools") if Path(folder).is_dir()] or None,
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
    )


def reloaded_app() -> Starlette:
    """Return a fresh app; called by uvicorn in each reloaded process."""
    from archer_bridge.app import create_app

    return create_app(checked_settings())
