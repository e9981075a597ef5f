"""What the pages in ``docs`` say of the code holds: their examples run, and what they name is there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
from guides import Block, blocks, run_guide

import eco2ai_callbacks

PACKAGE = Path(eco2ai_callbacks.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
README = DOCS.parent / "README.md"
# The first line of an example that is executed; all others are only compiled.
RUNS = "# runs"
# These begin with the import of a framework, which may be missing.
ADAPTERS = {"lightning", "transformers", "keras", "accelerate"}
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()} - ADAPTERS


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return "".join(page.read_text(encoding="utf-8").split("```")[::2])


EXAMPLES = [block for page in PAGES for block in blocks(page) if block.language == "python"]
RUNNING = [block for block in EXAMPLES if block.text.startswith(f"{RUNS}\n")]

# --- examples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.id)
def test_an_example_compiles(block: Block) -> None:
    block.compiled()


@pytest.mark.parametrize("block", RUNNING, ids=lambda block: block.id)
def test_an_example_runs(block: Block) -> None:
    exec(block.compiled(), {"__name__": "docs_example"})  # type: ignore[arg-type]


def test_there_is_an_example_of_each_addition() -> None:
    assert len(RUNNING) >= 5
    for block in EXAMPLES:
        assert RUNS not in block.text.splitlines()[1:], f"{block.id}: the mark is not in the first line"


# Pages whose examples are executed from top to bottom, as a reader would type them; those of frameworks are in
# tests/fits/test_guides.py.
GUIDES = [
    "start.md",
    "plain-loops.md",
    "distributed.md",
    "settings.md",
    "run-log.md",
    "coming-from-codecarbon.md",
    "coming-from-carbontracker.md",
]


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_runs_from_top_to_bottom(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with eco2ai_callbacks.track(console=False) as earlier:  # a log that readers find
        earlier.end_epoch(0)

    def train_one_epoch() -> int:
        return sum(range(1000))

    assert run_guide(DOCS / name, train_one_epoch=train_one_epoch, validate=train_one_epoch) > 0
    assert "Error" not in capsys.readouterr().err


def test_the_readme_s_example_without_a_framework_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [block for block in blocks(README) if "import track " in block.text]
    exec(example.compiled(), {"__name__": "readme", "train_one_epoch": lambda: sum(range(1000))})  # type: ignore[arg-type]
    assert capsys.readouterr().out.count("eco2ai/total_energy_kwh") == 3


def test_the_readme_names_every_example() -> None:
    text = README.read_text(encoding="utf-8")
    examples = [path.name for path in (DOCS.parent / "examples").iterdir() if path.suffix in (".py", ".ipynb", ".sh")]
    assert examples
    assert [name for name in examples if f"`examples/{name}`" not in text] == []


# --- the tree ---------------------------------------------------------------------------------------------------------


def tree() -> list[str]:
    """The paths that the tree of the architecture names, folders with a slash at the end, from top to bottom."""
    page = DOCS / "architecture.md"
    text = next(block.text for block in blocks(page) if block.text.startswith("eco2ai_callbacks/"))
    found: list[str] = []
    around: list[str] = []
    for line in text.splitlines()[1:]:
        match = re.fullmatch(r"((?:  )+)([\w.]+/?)  +\S.*", line)
        assert match, f"not a name and what it is for: {line!r}"
        depth = len(match[1]) // 2 - 1
        around[depth:] = [match[2]]
        found.append("".join(around))
    return found


def is_bare(path: Path) -> bool:
    """Whether a folder's own file says only what the folder is for: the folder's line stands for it."""
    return path.name == "__init__.py" and len(ast.parse(path.read_text(encoding="utf-8")).body) <= 1


MODULES = {path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py")) if not is_bare(path)}


def test_the_tree_names_every_module_once_and_no_other() -> None:
    named = tree()
    assert len(named) == len(set(named))
    assert {name for name in named if name.endswith(".py")} == MODULES
    for name in named:
        path = PACKAGE / name
        assert path.is_dir() if name.endswith("/") else path.is_file(), f"{name} is not in the package"


def module_at(name: str) -> str | None:
    """The module of a dotted name (``eco2ai_callbacks.session.ledger``); ``None`` where it is the name of none."""
    inside = "/".join(name.split(".")[1:])
    return next((path for path in (f"{inside}.py", f"{inside}/__init__.py") if path in MODULES), None)


def imported(module: str) -> set[str]:
    """The modules of the package that a module imports, wherever in it."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{PACKAGE.name}."):
            # What is imported is a module, or a name inside of one.
            found |= {module_at(f"{node.module}.{alias.name}") or module_at(f"{node.module}") for alias in node.names}
    return {path for path in found if path is not None} - {module}


def test_the_tree_is_in_the_order_of_imports() -> None:
    places = {name: place for place, name in enumerate(tree())}
    for module in MODULES:
        if not module.startswith("testing/"):
            above = {other for other in imported(module) if places[other] < places[module]}
            assert not above, f"{module} imports {sorted(above)}, which the tree shows above it"


# --- names ------------------------------------------------------------------------------------------------------------


def names(page: Path) -> list[str]:
    """The dotted names of the package in a page's text: ``session.ledger.Ledger.mark``."""
    found = re.findall(r"(?<!`)`([a-z_]\w*(?:\.\w+)+)`(?!`)", prose(page))
    found = [name for name in dict.fromkeys(found) if not name.endswith((".jsonl", ".csv"))]  # files that are written
    return [name for name in found if name.split(".")[0] in ROOMS and not (PACKAGE / name).is_file()]


# These name what users type, and no module.
OF_USERS = {
    *("index.md", "start.md", "lightning.md", "transformers.md", "keras.md", "accelerate.md", "plain-loops.md"),
    *("coming-from-carbontracker.md", "troubleshooting.md", "api.md", "libraries.md"),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    found = names(page)
    assert found or page.name in OF_USERS
    for name in found:
        assert is_there(name), f"{page.name}: {name} is not in the package"


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.name)
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    found = re.findall(r"`((?:tests|tools|docs|examples)/[\w./]+)`", page.read_text(encoding="utf-8"))
    assert [path for path in found if not (DOCS.parent / path).exists()] == []
    assert found or page.name != "promises.md"


def is_there(name: str) -> bool:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        place = PACKAGE.joinpath(*parts[:end])
        if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
            thing: object = importlib.import_module(".".join([PACKAGE.name, *parts[:end]]))
            for part in parts[end:]:
                if not hasattr(thing, part):
                    return part in getattr(thing, "__annotations__", {})  # a field of a TypedDict has no attribute
                thing = getattr(thing, part)
            return True
    return False


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("session.ledger.Ledger.mark", True),
        ("record.Record.attempt", True),
        ("settings.SettingsArgs.region", True),
        ("session.ledger", True),
        ("session.ledger.Ledger.score", False),
        ("session.accounts", False),
    ],
)
def test_the_check_of_names_finds_what_is_not_there(name: str, there: bool) -> None:
    assert is_there(name) is there


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose(page)):
        assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link} is not there"


# --- the glossary -----------------------------------------------------------------------------------------------------


def entries() -> dict[str, str]:
    """The words of the glossary, each with its text."""
    _, *parts = re.split(r"^## ", (DOCS / "glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def test_the_glossary_is_alphabetical() -> None:
    assert list(entries()) == sorted(entries(), key=str.lower)


@pytest.mark.parametrize("word", entries())
def test_a_word_names_what_carries_it(word: str) -> None:
    _, mark, carriers = entries()[word].partition("In code: ")
    assert mark
    assert "`" in carriers


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_line_is_not_too_long(page: Path) -> None:
    # What is generated is not to be wrapped.
    generated = r"<!-- (benchmarks|settings|fields|commands) -->.*<!-- /\1 -->"
    text = re.sub(generated, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert max(map(len, text.splitlines())) <= 120
