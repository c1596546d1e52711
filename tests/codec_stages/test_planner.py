from collections.abc import Iterable
from itertools import product

import pytest

from archer_codecs import (
    ALAW_8K,
    BUILTIN_FAMILIES,
    MULAW_8K,
    PCM16_8K,
    PCM16_16K,
    PCM16_24K,
    Chain,
    Edge,
    FamilyError,
    Format,
    NoRouteError,
    SampleMap,
    negotiate,
    plan,
)
from tests.codec_stages.subjects import FORMATS


@pytest.mark.parametrize(
    ("source", "sink", "stages"),
    [
        pytest.param("mulaw/8000", "mulaw/8000/1", (), id="passthrough"),
        pytest.param("mulaw/8000", "pcm_s16le/8000", ("mulaw-decode",), id="decode"),
        pytest.param("mulaw/8000", "pcm_s16le/16000", ("mulaw-decode", "resample"), id="decode-then-up"),
        pytest.param("pcm_s16le/24000", "mulaw/8000", ("resample", "mulaw-encode"), id="down-then-encode"),
        pytest.param("mulaw/8000", "alaw/8000", ("mulaw-decode", "alaw-encode"), id="law-to-law"),
        pytest.param(
            "pcm_s16le/48000/2", "mulaw/8000", ("to-mono", "resample", "mulaw-encode"), id="mix-before-resampling"
        ),
        pytest.param(
            "mulaw/8000", "pcm_s16le/48000/2", ("mulaw-decode", "resample", "to-stereo"), id="resample-before-copying"
        ),
        pytest.param("pcm_f32le/16000", "pcm_f32le/8000", ("f32-decode", "resample", "f32-encode"), id="float"),
        pytest.param("pcm_s16le/44100/2", "pcm_s16le/48000/2", ("resample",), id="stereo-stays-stereo"),
    ],
)
def test_the_cheapest_chain_is_found(source: str, sink: str, stages: tuple[str, ...]) -> None:
    route = plan(Format.parse(source), Format.parse(sink))

    assert route.stages == stages
    assert route.is_passthrough == (not stages)
    assert route.cost == sum(edge.cost for edge in route.edges)


def test_a_plan_prints_itself() -> None:
    route = plan(MULAW_8K, PCM16_16K)

    assert str(route) == "mulaw/8000/1 -> [mulaw-decode] pcm_s16le/8000/1 -> [resample] pcm_s16le/16000/1"
    assert str(plan(MULAW_8K, MULAW_8K)) == "mulaw/8000/1 (passthrough)"


def test_equal_formats_hand_back_the_very_object() -> None:
    chain = plan(MULAW_8K, MULAW_8K).build()
    data = bytes(160)

    assert chain.feed(data) is data
    assert chain.flush() == b""


def test_every_pair_of_formats_is_planned_the_same_every_time_whatever_the_families_order() -> None:
    for source, sink in product(FORMATS, FORMATS):
        assert str(plan(source, sink)) == str(plan(source, sink, BUILTIN_FAMILIES[::-1]))


def test_each_build_is_a_fresh_chain() -> None:
    route = plan(MULAW_8K, PCM16_16K)
    first, second = route.build(), route.build()

    assert all(one is not other for one, other in zip(first.stages, second.stages, strict=True))


def test_no_route_names_both_ends_and_what_was_reached() -> None:
    with pytest.raises(NoRouteError) as caught:
        plan(MULAW_8K, Format("opus", 48000, width=1))

    assert str(caught.value) == (
        "no codec chain from mulaw/8000/1 to opus/48000/1; reached mulaw/8000/1, pcm_s16le/48000/1, pcm_s16le/8000/1"
    )


@pytest.mark.parametrize(
    ("offers", "accepts", "source", "sink"),
    [
        pytest.param([PCM16_24K, MULAW_8K], [PCM16_16K, MULAW_8K], MULAW_8K, MULAW_8K, id="a-shared-format-wins"),
        pytest.param([MULAW_8K], [PCM16_24K, PCM16_8K], MULAW_8K, PCM16_8K, id="no-resampling-if-avoidable"),
        pytest.param([MULAW_8K, ALAW_8K], [PCM16_8K], MULAW_8K, PCM16_8K, id="first-offer-among-equals"),
        pytest.param([MULAW_8K], [PCM16_24K, PCM16_16K], MULAW_8K, PCM16_24K, id="first-accepted-among-equals"),
    ],
)
def test_negotiation(offers: list[Format], accepts: list[Format], source: Format, sink: Format) -> None:
    route = negotiate(offers, accepts)

    assert (route.source, route.sink) == (source, sink)


def test_failed_negotiation_names_every_end() -> None:
    with pytest.raises(NoRouteError) as caught:
        negotiate([MULAW_8K, ALAW_8K], [Format("opus", 48000, width=1), Format("g722", 16000, width=1)], [])

    assert str(caught.value) == (
        "no codec chain from mulaw/8000/1, alaw/8000/1 to opus/48000/1, g722/16000/1; reached mulaw/8000/1, alaw/8000/1"
    )


@pytest.mark.parametrize(("offers", "accepts"), [([], [MULAW_8K]), ([MULAW_8K], [])])
def test_an_end_without_formats_has_no_route(offers: list[Format], accepts: list[Format]) -> None:
    with pytest.raises(NoRouteError, match="nothing"):
        negotiate(offers, accepts)


class Offering:
    """A family with one step, offered whenever it is asked for steps out of mu-law."""

    name = "offering"

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    def edges(self, source: Format, goal: Format) -> Iterable[Edge]:
        return [self.edge] if source == MULAW_8K else []


def identity(source: Format, sink: Format) -> SampleMap:
    return SampleMap("copy", source, sink, lambda data: data)


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        pytest.param(
            Edge("copy", PCM16_8K, ALAW_8K, 1, lambda: identity(PCM16_8K, ALAW_8K)),
            "codec family 'offering' was asked for steps out of mulaw/8000/1, offered one out of pcm_s16le/8000/1",
            id="wrong-start",
        ),
        pytest.param(
            Edge("copy", MULAW_8K, ALAW_8K, 0, lambda: identity(MULAW_8K, ALAW_8K)),
            "codec family 'offering' offered 'copy' at the cost 0; at least 1 is needed",
            id="free",
        ),
        pytest.param(
            Edge("copy", MULAW_8K, ALAW_8K, 1, lambda: identity(MULAW_8K, PCM16_8K)),
            "codec family 'copy' built mulaw/8000/1 -> pcm_s16le/8000/1, announced mulaw/8000/1 -> alaw/8000/1",
            id="other-stage",
        ),
    ],
)
def test_a_family_that_breaks_its_promise_is_caught(edge: Edge, message: str) -> None:
    with pytest.raises(FamilyError) as caught:
        plan(MULAW_8K, ALAW_8K, [Offering(edge)]).build()

    assert str(caught.value) == message


def test_fewer_stages_win_among_equal_costs() -> None:
    through = Offering(Edge("both", MULAW_8K, ALAW_8K, 3, lambda: identity(MULAW_8K, ALAW_8K)))

    assert plan(MULAW_8K, ALAW_8K, [*BUILTIN_FAMILIES, through]).stages == ("both",)


def test_a_chain_names_itself_when_fed_too_late() -> None:
    chain = plan(MULAW_8K, PCM16_16K).build()
    chain.flush()

    assert isinstance(chain, Chain)
    assert str(chain) == "the chain mulaw/8000/1 -> pcm_s16le/16000/1 (mulaw-decode, resample)"
