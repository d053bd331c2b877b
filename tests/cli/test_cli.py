"""The command line as a user meets it: exit codes, JSON and messages."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("runoff_models", reason="runoff-models is not installed")

from commands import runoff, runoff_process

import runoff as package

TOPICS = {
    "cascades.md": "A cascade runs a cheap ranker first and an expensive one on what is left.",
    "bread.md": "Knead the dough, let it rise twice, and bake it until the crust is brown.",
    "tides.md": "The moon's gravity raises the sea twice a day; sun and moon together, more.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, text in TOPICS.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def test_a_question_about_ones_own_files(folder, cache):
    """The right file comes first; the second time nothing is built, until a file changes."""
    asked = ("demo", "--path", str(folder), "--cache", cache, "--json", "why does the sea rise?")
    first = runoff(*asked)
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["index"]["built_s"] > 0
    assert found["answer"]["results"][0]["candidate"]["document"]["doc_id"] == "tides.md"
    assert found["answer"]["complete"] is True
    again = json.loads(runoff(*asked).stdout)
    assert again["index"]["built_s"] == 0
    (folder / "new.md").write_text("Sea levels rise as ice melts.")
    assert json.loads(runoff(*asked).stdout)["index"]["built_s"] > 0


def test_the_table_names_every_stage(folder, cache):
    """In a terminal: each source's rank, the fused and the reranked place, and the times."""
    shown = runoff("demo", "--path", str(folder), "--cache", cache, "bake")
    assert shown.returncode == 0, shown.stderr
    for word in ("rerank", "fused", "bm25", "dense", "bread.md", "all-MiniLM-L6-v2", "complete"):
        assert word in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("demo", "--path", "absent", "question"), 2, "is not a folder"),
        (("demo", "--path", "."), 2, "give a question to ask about the files of --path"),
        (("demo", "   "), 2, "must not be blank"),
        (("demo", "question", "--top-k", "0"), 2, "top_k=0: must be a whole number"),
        (("demo", "--wrong"), 2, "No such option"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments, code, message, folder, cache):
    """The message names the argument and its value; no traceback is shown."""
    place = () if arguments[0] != "demo" or "--path" in arguments else ("--path", str(folder))
    where = ("--cache", cache) if arguments[0] == "demo" else ()
    done = runoff(*arguments, *place, *where)
    assert done.returncode == code, done.stdout
    assert message in done.stderr


def test_a_cache_that_cannot_be_written_is_named(folder, tmp_path):
    """With a file in place of the cache folder, the message names the option."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = runoff("demo", "--path", str(folder), "--cache", str(blocked), "question")
    assert done.returncode == 1
    assert "--cache" in done.stderr


def test_what_a_terminal_cannot_show_is_escaped(folder, cache):
    """A question with a lone surrogate works, and so does an ASCII terminal."""
    asked = ("demo", "--path", str(folder), "--cache", cache, "bread \udcff 面包")
    done = runoff_process(*asked, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert "bread.md" in done.stdout
    found = runoff(*asked, "--json").stdout
    assert json.loads(found)["answer"]["question"] == "bread \udcff 面包"


def test_a_wrong_argument_is_told_before_anything_is_indexed(folder, tmp_path):
    """A wrong argument is reported before anything is indexed."""
    for wrong in (("",), ("question", "--top-k", "-1")):
        done = runoff("demo", "--path", str(folder), "--cache", str(tmp_path / "cache"), *wrong)
        assert done.returncode == 2
    assert not (tmp_path / "cache").exists()


def test_version_names_what_is_installed():
    """The versions of runoff, Python and the packages are there for a bug report."""
    done = runoff("version")
    assert done.returncode == 0
    assert f"runoff {package.__version__} on Python" in done.stdout
    assert "onnxruntime" in done.stdout


def test_every_command_is_in_the_documentation():
    """`runoff --help` lists the commands and exits with 0; docs/commands.md describes each."""
    done = runoff("--help")
    assert done.returncode == 0
    listed = done.stdout.partition("Commands")[2]
    commands = set(re.findall(r"^\W*([a-z]+)  ", listed, re.MULTILINE))
    page = Path(__file__).parents[2].joinpath("docs/commands.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `runoff ([a-z]+)", page, re.MULTILINE))
    assert {"bulk", "demo", "doctor", "evaluate", "explain", "version", "watch"} < commands
    assert told == commands
