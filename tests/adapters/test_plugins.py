import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from archer_bridge.adapters.plugins import FoundTool, discover_tools, load_tool, load_tools
from archer_bridge.errors import PluginError
from archer_bridge.tool_api import Tool

SHIPPED = ["verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call"]
EXAMPLE = Path(__file__).parents[1] / "data" / "example_plugin"
GOOD = '''
from archer_bridge.tool_api import tool

@tool
async def {name}() -> str:
    """Do."""
    return "{name}"
'''


def problems_of(enabled: list[str], **options: object) -> list[str]:
    with pytest.raises(PluginError) as caught:
        load_tools(enabled, **options)
    return list(caught.value.problems)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path that distributions are put into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def put(site: Path, dist: str, version: str, entries: dict[str, str], code: str = "", group: int = 1) -> None:
    """Install a distribution of one module by hand, as its files lie after an installation."""
    module = dist.replace("-", "_")
    (site / f"{module}.py").write_text(code)
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
    lines = "\n".join(f"{name} = {target}" for name, target in entries.items())
    (info / "entry_points.txt").write_text(f"[archer_bridge.tools.v{group}]\n{lines}\n")


def test_the_shipped_tools_are_found_by_entry_point_and_load():
    found = [one.name for one in discover_tools() if one.distribution == "archer-bridge"]
    tools = load_tools(SHIPPED)

    assert sorted(SHIPPED) == found
    assert list(tools) == SHIPPED
    assert all(isinstance(tool, Tool) for tool in tools.values())


def test_what_is_not_enabled_is_not_imported(site):
    put(site, "acme-bomb", "1.0", {"bomb": "acme_bomb:bomb"}, "raise SystemExit('boom')")

    assert "bomb" in [one.name for one in discover_tools()]
    assert list(load_tools(["end_call"])) == ["end_call"]
    assert "acme_bomb" not in sys.modules


def test_every_problem_of_every_tool_is_told_at_once(site):
    put(site, "acme-bomb", "1.0", {"bomb": "acme_bomb:bomb"}, "raise SystemExit('boom')")
    put(site, "acme-lost", "1.0", {"lost": "acme_lost:lost"}, "import nothing_here")
    put(site, "acme-wrong", "2.0", {"wrong": "acme_wrong:wrong", "gone": "acme_wrong:gone"}, "wrong = dict")
    put(site, "acme-named", "1.0", {"alias": "acme_named:other"}, GOOD.format(name="other"))
    put(site, "acme-odd", "1.0", {"odd": "acme_odd"}, "")
    put(site, "acme-bad", "1.0", {"bad": "acme_bad:Bad"}, GOOD.format(name="Bad"))
    put(site, "acme-new", "3.0", {"newer": "acme_new:newer"}, "", group=2)
    enabled = ["bomb", "lost", "wrong", "gone", "alias", "odd", "bad", "newer", "absent", "end_call", "end_call"]
    problems = problems_of(enabled)

    installed = "alias, bad, bomb, end_call, get_customer_options, gone, lost, odd, process_payment, "
    assert [
        "tool 'end_call' is enabled twice in [tools] enabled",
        "tool plugin acme-bomb 1.0 [bomb = acme_bomb:bomb]: import failed: SystemExit('boom')",
        "tool plugin acme-lost 1.0 [lost = acme_lost:lost]: import failed: "
        "ModuleNotFoundError(\"No module named 'nothing_here'\")",
        "tool plugin acme-wrong 2.0 [wrong = acme_wrong:wrong]: points at dict, expected "
        "archer_bridge.tool_api.Tool; decorate it with @tool",
        "tool plugin acme-wrong 2.0 [gone = acme_wrong:gone]: import failed: "
        "AttributeError(\"module 'acme_wrong' has no attribute 'gone'\")",
        "tool plugin acme-named 1.0 [alias = acme_named:other]: the tool is called 'other'; give both the same name",
        "tool plugin acme-odd 1.0 [odd = acme_odd]: its target must be package.module:OBJECT",
        "tool plugin acme-bad 1.0 [bad = acme_bad:Bad]: tool 'Bad': its name must match [a-z][a-z0-9_]{0,63}; "
        "give another with @tool(name=...)",
        "acme-new 3.0 offers 'newer' for tool API v2; this bridge speaks v1",
        f"tool 'absent' is enabled in config.toml but no installed package provides it; installed: {installed}"
        "transfer_to_human, verify_account, wrong",
    ] == problems


def test_a_name_given_twice_names_both_distributions(site):
    put(site, "acme-end", "1.0", {"end_call": "acme_end:end_call"}, GOOD.format(name="end_call"))

    assert problems_of(["end_call"]) == [
        "tool 'end_call' is provided by acme-end 1.0 (acme_end:end_call) and "
        f"archer-bridge {version('archer-bridge')} (archer_tools.end_call:end_call): uninstall one, "
        "or rename its entry point"
    ]


def test_a_tool_that_is_not_installed_can_be_tried(site):
    (site / "my_tools.py").write_text(GOOD.format(name="mine"))

    assert list(load_tools(["mine"], local={"mine": "my_tools:mine"})) == ["mine"]
    assert FoundTool("mine", "my_tools:mine", "[tools.local]", "", 1) in discover_tools({"mine": "my_tools:mine"})


@pytest.mark.parametrize(
    ("name", "table", "says"),
    [
        pytest.param(
            "transfer_to_human", {"to": "home"}, "[tools.transfer_to_human] does not fit: 1 validation", id="value"
        ),
        pytest.param("transfer_to_human", {"too": "+1"}, "Extra inputs are not permitted", id="unknown-key"),
    ],
)
def test_settings_that_do_not_fit_are_a_problem_of_the_tool(name, table, says):
    assert says in problems_of([name], settings={name: table})[0]


def test_one_tool_can_be_loaded_by_itself():
    good = next(one for one in discover_tools() if one.name == "end_call")
    with pytest.raises(PluginError, match="import failed"):
        load_tool(FoundTool("x", "nowhere:x", "acme", "1", 1))

    assert load_tool(good).name == "end_call"


@pytest.fixture(scope="module")
def installed_example(tmp_path_factory) -> Path:
    """The example distribution, built by its own backend and unpacked as an installer does."""
    work = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, work / "source")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "dist")]
    subprocess.run(build, cwd=work / "source", check=True, capture_output=True, timeout=60)
    (wheel,) = (work / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(work / "site")
    return work / "site"


def run_with(site: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow  # builds a wheel and starts interpreters
@pytest.mark.timeout(60)
def test_the_example_distribution_is_found_loaded_and_run(installed_example):
    code = """
import asyncio
from archer_bridge.adapters.plugins import discover_tools, load_tools
from archer_bridge.testing import run_tool

found = next(one for one in discover_tools() if one.name == "opening_hours")
print(found)
tables = {"opening_hours": {"monday": "9 to 5"}}
tools = load_tools(["opening_hours", "book_callback", "end_call"], settings=tables)
print(asyncio.run(run_tool(tools["opening_hours"], {"day": "monday"}, settings=tables["opening_hours"])))
try:
    load_tools(["opening_hours"], settings={"opening_hours": {"monday": 9}})
except Exception as error:
    print(error)
"""
    printed = run_with(installed_example, "-c", code).splitlines()

    assert printed == [
        "tool plugin acme-hours 1.2.0 [opening_hours = acme_hours:opening_hours]",
        "{'day': 'monday', 'hours': '9 to 5'}",
        "tool plugin acme-hours 1.2.0 [opening_hours = acme_hours:opening_hours]: "
        "opening hours must be texts, not so for: monday",
    ]


@pytest.mark.slow  # starts pytest
@pytest.mark.timeout(60)
def test_the_examples_own_tests_pass(installed_example):
    printed = run_with(installed_example, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"))

    assert "3 passed" in printed


@pytest.mark.slow  # starts mypy on an empty cache
@pytest.mark.timeout(60)
def test_the_example_type_checks_strictly(installed_example, tmp_path):
    source = EXAMPLE / "src" / "acme_hours" / "__init__.py"
    printed = run_with(
        installed_example, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path), str(source)
    )

    assert "no issues found" in printed
