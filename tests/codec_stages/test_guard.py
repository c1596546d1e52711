import numpy as np
import pytest

from archer_bridge.devkit.voices import have_local, open_voice
from archer_codecs import ALAW_8K, MULAW_8K, PCM16_8K, PCM16_16K, PCM16_24K, Evidence, Format, FormatGuard, plan
from tests.codec_stages.test_headers import au, wav

Wave = np.ndarray


def speech_like(rate: int, seconds: float = 1.0, *, seed: int = 0) -> Wave:
    """Voiced stretches of a gliding pitch through two formants, hissing ones, and pauses; at about -20 dBFS."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(rate * seconds)) / rate
    pitch = np.cumsum(110 + 40 * np.sin(2 * np.pi * 1.7 * t + seed)) / rate
    buzz = sum(np.sin(2 * np.pi * k * pitch) / (1 + abs(k * 120 - 600) / 200) for k in range(1, 28))
    hiss = np.diff(rng.normal(0, 1, len(t) + 1))
    voiced = np.clip(np.sin(2 * np.pi * 2.3 * t + seed), 0, 1)
    hissing = np.clip(np.sin(2 * np.pi * 2.3 * t + seed + 3.6), 0, 0.3)
    wave = voiced * buzz + hissing * hiss
    return wave * (3200 / wave.std()) + rng.normal(0, 8, len(t))


def tone(rate: int, hertz: float, level: float) -> Wave:
    return level * np.sin(2 * np.pi * hertz * np.arange(rate) / rate + 0.3)


def noise(rate: int, level: float) -> Wave:
    return np.random.default_rng(3).normal(0, level, rate)


HONEST = {
    **{f"speech-{seed}-{gain}": lambda rate, s=seed, g=gain: g * speech_like(rate, seed=s)
       for seed in range(4) for gain in (0.01, 0.1, 1.0, 3.0)},
    **{f"tone-{hertz}-{level}": lambda rate, h=hertz, a=level: tone(rate, h, a)
       for hertz in (100, 400, 440, 500, 697, 800, 1000, 1004, 1477, 2000, 2666.7, 3400)
       for level in (30, 3000, 32000)},
    **{f"dtmf-{low}": lambda rate, a=low, b=high: tone(rate, a, 12000) + tone(rate, b, 12000)
       for low, high in ((697, 1209), (941, 1477), (350, 440))},
    **{f"noise-{level}": lambda rate, a=level: noise(rate, a) for level in (1, 10, 100, 1000, 10000)},
    "silence": lambda rate: np.zeros(rate),
    "minus-one": lambda rate: -np.ones(rate),
    "square": lambda rate: 16000 * np.sign(tone(rate, 441, 1.0)),
    "clipped": lambda rate: tone(rate, 300, 90000),
    "offset": lambda rate: np.full(rate, 500.0),
}  # fmt: skip


def encoded(wave: Wave, form: Format) -> bytes:
    data = np.rint(wave).clip(-32768, 32767).astype("<i2").tobytes()
    return plan(Format("pcm_s16le", form.rate), form).build().feed(data)


def verdict(data: bytes, promised: Format, *, chunk: int = 160) -> Evidence | None:
    guard = FormatGuard(promised)
    found = [guard.feed(data[at : at + chunk]) for at in range(0, len(data), chunk)] + [guard.flush()]
    given = [each for each in found if each is not None]
    assert len(given) <= 1
    return given[0] if given else None


def every_window(data: bytes, promised: Format) -> list[Evidence | None]:
    size = promised.bytes_for(200)
    return [verdict(data[at : at + size], promised) for at in range(0, len(data) - size + 1, size)]


@pytest.mark.parametrize("form", [MULAW_8K, ALAW_8K, PCM16_8K, PCM16_16K, PCM16_24K], ids=str)
@pytest.mark.parametrize("name", HONEST)
def test_no_false_alarm(name: str, form: Format) -> None:
    data = encoded(HONEST[name](form.rate), form)

    assert set(every_window(data, form)) == {None}


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("promised", [MULAW_8K, ALAW_8K], ids=str)
@pytest.mark.parametrize("real", [PCM16_8K, PCM16_16K, PCM16_24K], ids=str)
def test_pcm_where_g711_was_promised(real: Format, promised: Format, level: float) -> None:
    for seed in range(4):
        data = encoded(level * speech_like(real.rate, seed=seed), real)
        found = every_window(data, promised)

        assert all(each is not None and each.seems == "pcm_s16le" for each in found)


@pytest.mark.parametrize("level", [0.1, 1.0])
@pytest.mark.parametrize("promised", [PCM16_8K, PCM16_16K, PCM16_24K], ids=str)
@pytest.mark.parametrize("real", [MULAW_8K, ALAW_8K], ids=str)
def test_g711_where_pcm_was_promised(real: Format, promised: Format, level: float) -> None:
    found = [
        each
        for seed in range(4)
        for each in every_window(encoded(level * speech_like(8000, 3.0, seed=seed), real), promised)
    ]
    right = [each for each in found if each is not None and each.seems == real.encoding]

    assert len(right) >= 0.9 * len(found)


@pytest.mark.parametrize("level", [0, 1, 30, 100])
def test_near_silent_pcm_where_mulaw_was_promised(level: float) -> None:
    data = encoded(noise(16000, level), PCM16_16K)

    assert all(each is not None and each.kind == "quiet_pcm16_in_g711" for each in every_window(data, MULAW_8K))


@pytest.mark.parametrize(
    ("data", "promised", "text"),
    [
        pytest.param(
            wav(24000) + bytes(2000),
            MULAW_8K,
            "promised mulaw/8000/1, looks like a RIFF/WAVE file of pcm_s16le/24000/1 after 20 ms (header: offset 0)",
            id="wav",
        ),
        pytest.param(
            b"\xff" * 200 + au() + bytes(2000),
            MULAW_8K,
            "promised mulaw/8000/1, looks like a Sun .snd file of mulaw/8000/1 after 40 ms (header: offset 200)",
            id="au-inside",
        ),
        pytest.param(
            wav(16000) + bytes(9000),
            PCM16_24K,
            "promised pcm_s16le/24000/1, looks like a RIFF/WAVE file of pcm_s16le/16000/1 after 3 ms "
            "(header: offset 0)",
            id="wrong-rate",
        ),
    ],
)
def test_a_header_is_evidence_at_once(data: bytes, promised: Format, text: str) -> None:
    assert str(verdict(data, promised)) == text


def test_evidence_has_its_numbers() -> None:
    found = verdict(encoded(speech_like(16000), PCM16_16K), MULAW_8K)

    assert found is not None
    assert (found.kind, found.looked_ms) == ("pcm16_in_g711", 200.0)
    assert [name for name, _ in found.measured] == ["parity", "gain_g711_db", "gain_pcm16_db", "level_pcm16"]
    assert str(found).startswith("promised mulaw/8000/1, looks like pcm_s16le after 200 ms (pcm16_in_g711: parity 0.")


@pytest.mark.parametrize("chunk", [1, 7, 160, 100_000])
def test_the_verdict_does_not_depend_on_the_chunks(chunk: int) -> None:
    data = encoded(speech_like(16000), PCM16_16K)

    assert verdict(data, MULAW_8K, chunk=chunk) == verdict(data, MULAW_8K)


def test_the_guard_is_done_after_its_window() -> None:
    guard = FormatGuard(MULAW_8K)
    found = [guard.feed(b"\xff" * 160) for _ in range(10)]

    assert found == [None] * 10
    assert guard.is_done
    assert guard.feed(wav()) is None
    assert guard.flush() is None


def test_a_short_stream_is_judged_when_it_ends() -> None:
    guard = FormatGuard(MULAW_8K)
    data = encoded(speech_like(16000), PCM16_16K)

    assert guard.feed(data[20000:20800]) is None
    assert guard.flush() is not None


def test_too_little_says_nothing() -> None:
    guard = FormatGuard(MULAW_8K)
    guard.feed(bytes(100))

    assert guard.flush() is None


def test_other_encodings_are_watched_for_headers_only() -> None:
    real = Format("pcm_f32le", 8000)

    assert verdict(bytes(range(256)) * 40, real) is None
    assert verdict(wav() + bytes(9000), real) is not None


@pytest.mark.voices
@pytest.mark.skipif(not have_local(), reason="needs the offline voices: pip install 'archer-bridge[local]'")
def test_real_speech_raises_no_alarm_and_is_recognised() -> None:
    alarms, missed, windows = 0, 0, 0
    for utterance in open_voice("local").speak("Yes, this is she. I can pay six hundred dollars on Friday."):
        source = Format("pcm_s16le", utterance.rate)
        for form in (MULAW_8K, PCM16_16K):
            chain = plan(source, form).build()
            data = chain.feed(utterance.audio)
            other = PCM16_16K if form == MULAW_8K else MULAW_8K
            alarms += sum(each is not None for each in every_window(data, form))
            wrong = every_window(data, other)
            missed += sum(each is None for each in wrong)
            windows += len(wrong)

    assert alarms == 0
    assert missed <= windows / 10
