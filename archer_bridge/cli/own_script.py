"""The caller of `archer call --say` and `--audio`."""

import asyncio
import contextlib
import wave
from pathlib import Path

import typer

from archer_bridge.devkit.phone import Caller, CallerScript
from archer_codecs import MULAW_8K, Format, plan

LONGEST_WAIT_S = 60.0


def own_script(lines: list[str], audio: Path | None, *, hangs_up: bool = True) -> CallerScript:
    """Return a caller who plays `audio`, says `lines` one after another, and hangs up or waits for the agent to."""
    data = mulaw(audio) if audio is not None else b""

    async def script(caller: Caller) -> None:
        await caller.agent_finished()
        if data:
            await caller.say_audio(data, audio.name if audio else "")
            await caller.agent_finished()
        for line in lines:
            await caller.say(line)
            await caller.agent_finished()
        if not hangs_up:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_S):
                    await caller.ended.wait()
        await caller.hang_up()

    return script


def mulaw(path: Path) -> bytes:
    """Return a WAV file's audio as mu-law at 8000 Hz.

    Raises:
        typer.BadParameter: it is no 16-bit PCM WAV file.
    """
    try:
        opened = wave.open(str(path), "rb")  # noqa: SIM115  # closed by the block that follows
    except (OSError, EOFError, wave.Error) as error:
        raise typer.BadParameter(f"{path}: {error}; expected a 16-bit PCM WAV file", param_hint="--audio") from None
    with opened as file:
        if file.getsampwidth() != 2:
            raise typer.BadParameter(
                f"{path}: {8 * file.getsampwidth()}-bit samples; expected 16-bit PCM", param_hint="--audio"
            )
        source = Format("pcm_s16le", file.getframerate(), file.getnchannels())
        chain = plan(source, MULAW_8K).build()
        return chain.feed(file.readframes(file.getnframes())) + chain.flush()
