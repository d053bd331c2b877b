"""The steps of action.yml, run by bash as GitHub runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the cli extra is not installed")
pytest.importorskip("ir_measures", reason="the eval extra is not installed")

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".github" / "evaluate.sh"
pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not SCRIPT.is_file(), reason="needs bash and the checkout"
)
IDS = [f"q{at}" for at in range(60)]


@pytest.fixture
def evaluate(tmp_path):
    """Return what runs the script on a branch, over one of two runs, in a repository's folder."""
    command = tmp_path / "bin" / "runoff"
    command.parent.mkdir()
    program = "from runoff.cli import app; app()"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n')
    command.chmod(0o755)
    (tmp_path / "qrels.txt").write_text("".join(f"{one} 0 good 1\n{one} 0 bad 0\n" for one in IDS))
    for name, order in (("right", ("good", "bad")), ("wrong", ("bad", "good"))):
        lines = (
            f"{one} Q0 {doc} {rank} {-rank} x\n" for one in IDS for rank, doc in enumerate(order, 1)
        )
        (tmp_path / f"{name}.run").write_text("".join(lines))

    def run(branch, system):
        outputs = tmp_path / "outputs"
        outputs.write_text("")
        done = subprocess.run(
            [SCRIPT],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
                "COLLECTION": "qrels.txt",
                "SYSTEM": system,
                "GITHUB_REF": f"refs/heads/{branch}",
                "MAIN_BRANCH": "trunk",
                "GITHUB_OUTPUT": str(outputs),
                "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"),
                "RUNNER_TEMP": str(tmp_path),
            },
        )
        found = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        text = Path(found["summary"]).read_text() if found else ""
        assert found.get("saved") in {None, "yes" if branch == "trunk" else "no"}
        return done.returncode, found.get("exit-code"), text, done.stderr

    return run


def test_only_the_main_branch_saves_what_pull_requests_restore():
    """A pull request that saved its copy would be compared with it again, whatever main does."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    steps = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"]
    cached = [one for one in steps if one.get("uses", "").startswith("actions/cache")]
    restore, save = cached
    assert restore["uses"].startswith("actions/cache/restore@")
    assert save["uses"].startswith("actions/cache/save@")
    assert save["if"] == "steps.evaluate.outputs.saved == 'yes'"
    assert save["with"]["path"] == restore["with"]["path"]
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])


def test_a_pull_request_is_compared_with_the_main_branch(evaluate):
    """The main branch saves its run; a branch that is proven worse gets exit code 3."""
    assert evaluate("trunk", "right.run")[:2] == (0, "0")
    code, found, text, _ = evaluate("worse", "wrong.run")
    assert (code, found) == (0, "3")  # the action fails in a later step, after its comment
    assert "**worse** (main.run" in text
    assert evaluate("same", "right.run")[:2] == (0, "0")


def test_without_a_run_of_the_main_branch_it_says_so(evaluate):
    """The first pull request is measured alone."""
    code, found, text, _ = evaluate("first", "right.run")
    assert (code, found) == (0, "0")
    assert "no run of the main branch yet" in text


def test_an_error_fails_the_step(evaluate):
    """What cannot be evaluated is not taken for harm."""
    code, found, _, told = evaluate("first", "absent.run")
    assert (code, found) == (2, None)
    assert "absent.run" in told


@pytest.mark.parametrize(("system", "code"), [("wrong.run", 3), ("right.run", 0)])
def test_the_hook_of_the_documentation_stops_a_harmful_push(evaluate, tmp_path, system, code):
    """What docs/evaluation-cli.md gives pre-commit fails on proven harm, and passes otherwise."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    page = (ROOT / "docs" / "evaluation-cli.md").read_text("utf-8")
    written = page.partition("```yaml\n- repo: local")[2].partition("```")[0]
    (hook,) = yaml.safe_load(f"- repo: local{written}")[0]["hooks"]
    assert hook["language"] == "system"
    entry = hook["entry"].replace("judged.jsonl", "qrels.txt").replace("main.run", "right.run")
    command = [tmp_path / "bin/runoff", *entry.replace("shop.search:retriever", system).split()[1:]]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == code, done.stderr
