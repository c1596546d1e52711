"""Two real distributions, built and installed: one adds a codec, one has every mistake a plugin can have."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from archer_codecs import BUILTIN_FAMILIES, Format, NoRouteError, PluginError, StageClosedError, load_families, plan
from archer_codecs.plugins import GROUP, Candidate, discover, known_encodings
from tests.codec_stages.subjects import RATES, chain_maker, in_parts, noise, whole

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which both distributions were installed, without a network."""
    target = tmp_path_factory.mktemp("site")
    wheels = tmp_path_factory.mktemp("wheels")
    for name in ("codec_plugin", "codec_plugin_broken"):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
        subprocess.run(build, cwd=DATA / name, check=True, capture_output=True, timeout=60)
    found = sorted(map(str, wheels.glob("*.whl")))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, *found], check=True, capture_output=True, timeout=60)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, importable; what it imports is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(site))
    for name in ("acme_l16", "acme_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return site


def test_distributions_are_found_sorted_and_not_imported(installed: Path) -> None:
    found = discover([str(installed)])

    assert [(each.name, each.distribution, each.version) for each in found] == [
        ("absent", "acme-broken", "0.3.0"),
        ("g711", "acme-broken", "0.3.0"),
        ("greedy", "acme-broken", "0.3.0"),
        ("l16", "acme-l16", "1.2.0"),
        ("misnamed", "acme-broken", "0.3.0"),
        ("wrong", "acme-broken", "0.3.0"),
        ("future", "acme-broken", "0.3.0"),
    ]
    assert not {"acme_l16", "acme_broken"} & set(sys.modules)
    assert {each.name for each in found} <= {each.name for each in discover()}


def test_the_planner_uses_the_plugins_codec(installed: Path) -> None:
    families = load_families(discover([str(installed)]), only=["l16"])
    known = known_encodings(families)
    wire = Format.parse("pcm_s16be/16000", encodings=known)
    route = plan(Format("mulaw", 8000), wire, families)

    assert known == {"pcm_s16be": 2}
    assert str(route) == (
        "mulaw/8000/1 -> [mulaw-decode] pcm_s16le/8000/1 -> [resample] pcm_s16le/16000/1 "
        "-> [l16-encode] pcm_s16be/16000/1"
    )
    with pytest.raises(NoRouteError):
        plan(Format("mulaw", 8000), wire)


def test_the_plugins_codec_does_what_it_says(installed: Path) -> None:
    families = load_families(discover([str(installed)]), only=["l16"])
    wire = Format("pcm_s16be", 8000, width=2)

    assert plan(Format("pcm_s16le", 8000), wire, families).build().feed(b"\x01\x02\x03\x04") == b"\x02\x01\x04\x03"


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_law_holds_for_every_chain_with_the_plugins_stages(installed: Path, rate: int, channels: int) -> None:
    families = load_families(discover([str(installed)]), only=["l16"])
    wire = Format("pcm_s16be", rate, channels, width=2)
    for other in (Format("mulaw", 8000), Format("pcm_f32le", 24000, 2), Format("alaw", 44100), wire):
        for source, sink in ((wire, other), (other, wire)):
            make = chain_maker(source, sink, families)
            data = noise(source.bytes_for(12.0) + 1)
            expected = whole(make, data)

            assert expected == in_parts(make, data, range(1, len(data), 97)), f"{source} -> {sink}"
            stage = make()
            stage.flush()
            with pytest.raises(StageClosedError):
                stage.feed(b"ab")


def test_every_broken_plugin_is_refused_with_distribution_entry_point_and_reason(installed: Path) -> None:
    with pytest.raises(PluginError) as caught:
        load_families(discover([str(installed)]))

    assert str(caught.value).splitlines() == [
        "codec plugin acme-broken 0.3.0 [absent = acme_broken.nothing_here:FAMILY]: "
        "import failed: ModuleNotFoundError(\"No module named 'acme_broken.nothing_here'\")",
        "codec plugin acme-broken 0.3.0 [g711 = acme_broken:SECOND_G711]: the name 'g711' is taken by archer-codecs",
        "codec plugin acme-broken 0.3.0 [greedy = acme_broken:GREEDY]: "
        "it declares the encoding 'mulaw', which is built in",
        "codec plugin acme-broken 0.3.0 [misnamed = acme_broken:MISNAMED]: "
        "the family calls itself 'somebody_else', expected the entry point's name 'misnamed'",
        "codec plugin acme-broken 0.3.0 [wrong = acme_broken:NOT_A_FAMILY]: "
        "points at int, expected an object with `name` and `edges(source, goal)`",
        "codec plugin acme-broken 0.3.0 [future = acme_broken:MISNAMED]: made for codec API v2; this package speaks v1",
    ]


def test_a_wanted_plugin_that_is_not_there_is_named(installed: Path) -> None:
    with pytest.raises(PluginError) as caught:
        load_families(discover([str(installed)]), only=["opus", "l16"])

    assert str(caught.value) == (
        "no installed package provides the codec plugin 'opus'; "
        "installed: absent, future, g711, greedy, l16, misnamed, wrong"
    )


def test_two_distributions_under_one_name_are_both_named(installed: Path) -> None:
    point = EntryPoint("l16", "acme_l16:FAMILY", GROUP)
    twins = [Candidate("acme-l16", "1.2.0", point), Candidate("other-l16", "3.0", point)]

    with pytest.raises(PluginError, match=r"other-l16 3\.0 \[.*\]: the name 'l16' is taken by acme-l16 1\.2\.0"):
        load_families(twins)


@pytest.mark.parametrize(
    ("value", "name", "reason"),
    [
        pytest.param("acme_l16:L16", "l16", "points at type, expected an object", id="a-class"),
        pytest.param("acme_l16:ABSENT", "l16", "import failed: AttributeError", id="no-such-object"),
    ],
)
def test_what_an_entry_point_may_not_name(installed: Path, value: str, name: str, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        load_families([Candidate("acme-l16", "1.2.0", EntryPoint(name, value, GROUP))])


@pytest.mark.parametrize(
    ("name", "encodings", "reason"),
    [
        pytest.param("Loud Name", {}, r"the name 'Loud Name' must match", id="name"),
        pytest.param("listed", ["x"], "its encodings are list, expected a mapping", id="not-a-mapping"),
        pytest.param("thin", {"x": 0}, "it declares 0 bytes for a sample of 'x', expected an integer >= 1", id="width"),
    ],
)
def test_a_family_with_senseless_facts_is_refused(
    installed: Path, monkeypatch: pytest.MonkeyPatch, name: str, encodings: object, reason: str
) -> None:
    import acme_broken  # type: ignore[import-not-found]  # installed by the fixture above

    family = acme_broken.Named(name, encodings)
    monkeypatch.setattr(acme_broken, "SUBJECT", family, raising=False)

    with pytest.raises(PluginError, match=reason):
        load_families([Candidate("acme-broken", "0.3.0", EntryPoint(name, "acme_broken:SUBJECT", GROUP))])


def test_without_plugins_there_are_the_built_in_families() -> None:
    assert load_families([]) == BUILTIN_FAMILIES
