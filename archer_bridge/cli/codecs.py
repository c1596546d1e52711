"""`archer codecs`: which formats and codecs there are, the chain between two formats, the benchmark."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from archer_codecs.bench.spectrogram import Sound

PROBLEM, USAGE = 1, 2
"""Exit codes."""

SENTENCE = "I can offer a settlement of six hundred and thirty dollars, or six easy payments. Which suits you best?"
"""What is spoken for the spectrograms: it is rich in s and f, whose energy lies above 4 kHz."""

app = typer.Typer(
    name="codecs",
    help="The codec library: ls, plan a chain, bench.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def ls() -> None:
    """List formats, built-in families and installed plugins; exit code 1 when a plugin cannot be used."""
    from archer_codecs import BUILTIN_FAMILIES, ENCODINGS, RATES
    from archer_codecs.plugins import discover, load

    typer.echo("encodings  " + " ".join(ENCODINGS))
    typer.echo("rates      " + " ".join(map(str, RATES)))
    typer.echo("channels   1 2")
    for family in BUILTIN_FAMILIES:
        typer.echo(f"family     {family.name}  built in")
    refused = False
    for candidate in discover():
        found, problem = load(candidate)
        refused |= found is None
        typer.echo(f"plugin     {candidate.name}  {'ready' if found else 'refused: ' + problem}  {candidate}")
    if refused:
        raise typer.Exit(PROBLEM)


@app.command()
def plan(
    source: Annotated[str, typer.Argument(help="What comes in, like mulaw/8000 or pcm_s16le/24000/1.")],
    sink: Annotated[str, typer.Argument(help="What must go out.")],
    plugins: Annotated[bool, typer.Option(help="Let installed codec plugins take part.")] = True,
) -> None:
    """Print the cheapest chain between two formats, its cost and its delay."""
    from archer_codecs import BUILTIN_FAMILIES, CodecError, Format, Resampler, load_families
    from archer_codecs import plan as find
    from archer_codecs.plugins import known_encodings

    try:
        families = load_families() if plugins else BUILTIN_FAMILIES
        known = known_encodings(families)
        route = find(Format.parse(source, encodings=known), Format.parse(sink, encodings=known), families)
        stages = route.build().stages
    except CodecError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(PROBLEM) from None
    typer.echo(str(route))
    delay = sum(stage.delay_ms for stage in stages if isinstance(stage, Resampler))
    typer.echo(f"cost {route.cost}, resampling delay {delay:.2f} ms")


@app.command()
def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also write PNG pictures into this folder.")] = None,
    speech: Annotated[
        Path | None, typer.Option(help="A 16-bit mono WAV for the spectrograms, instead of the synthesised voice.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer tones, laps and cuts; ten seconds.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a goal is missed.")] = False,
) -> None:
    """Measure every stage, chain and resampler beside what else is installed; about a minute."""
    from archer_codecs.bench import Options, render, run
    from archer_codecs.bench.report import as_json as plain

    if plot is not None:
        _need_matplotlib()
    sound = _read_wav(speech) if speech else None
    # CPU time of this thread: another process on the same core does not count.
    options = Options(rounds=3, tones=4, splits=100) if quick else Options()
    report = run(time.thread_time_ns, options, lambda step: typer.echo(step, err=True))
    typer.echo(json.dumps(plain(report), indent=2) if as_json else render(report))
    if plot is not None:
        _draw(plot, sound or _spoken(), tones=6 if quick else 60)
    if check and not all(goal.is_met for goal in report.goals):
        raise typer.Exit(PROBLEM)


def _draw(folder: Path, sound: Sound | None, *, tones: int) -> None:
    from archer_codecs.bench.plot import draw_responses
    from archer_codecs.bench.spectrogram import draw_spectrograms, sweep

    folder.mkdir(parents=True, exist_ok=True)
    draw_responses(folder / "codecs-response.png", tones=tones)
    draw_spectrograms(folder / "codecs-sweep.png", sweep())
    if sound is not None:
        draw_spectrograms(folder / "codecs-speech.png", sound)
    typer.echo(f"wrote {', '.join(str(path) for path in sorted(folder.glob('codecs-*.png')))}", err=True)


def _spoken() -> Sound | None:
    """`SENTENCE` in the offline voice, 24 kHz; None, and a word about it, when that is not installed."""
    from archer_bridge.devkit.voices import LOCAL_HINT, have_local, open_voice
    from archer_codecs import PCM16_24K, Format, plan
    from archer_codecs.bench.spectrogram import Sound

    if not have_local():
        typer.echo(f"no spectrogram of speech: {LOCAL_HINT}, or give --speech FILE.wav", err=True)
        return None
    parts = []
    for utterance in open_voice("local").speak(SENTENCE):
        chain = plan(Format("pcm_s16le", utterance.rate), PCM16_24K).build()
        parts.append(chain.feed(utterance.audio) + chain.flush())
    return Sound("synthesised speech", PCM16_24K.rate, b"".join(parts))


def _read_wav(path: Path) -> Sound:
    """A WAV file brought to 24 kHz."""
    import wave

    from archer_codecs import PCM16_24K, CodecError, Format, plan
    from archer_codecs.bench.spectrogram import Sound

    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise typer.BadParameter(f"{path} is not 16-bit mono")
            chain = plan(Format("pcm_s16le", file.getframerate()), PCM16_24K).build()
            audio = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error, CodecError) as error:
        raise typer.BadParameter(f"cannot use {path}: {error}") from None
    return Sound(path.name, PCM16_24K.rate, chain.feed(audio) + chain.flush())


def _need_matplotlib() -> None:
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        typer.echo("--plot needs matplotlib: pip install 'archer-bridge[bench]'", err=True)
        raise typer.Exit(USAGE)
