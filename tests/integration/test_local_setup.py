"""The set-up script: what it installs, when it has nothing to do, and the line that says what failed."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from local import setup

UV = f"uv-{setup.UV_VERSION}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own for every test."""
    for name, value in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "STAMP": tmp_path / ".venv" / ".aigateway-setup",
        "UV_HOME": tmp_path / ".uv",
        "CACHE": tmp_path / ".cache",
        "LOG": tmp_path / ".cache" / "setup.log",
    }.items():
        monkeypatch.setattr(setup, name, value)
    (tmp_path / "uv.lock").write_text("lock 1", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\ndefault-groups = ["local", "test"]\n', encoding="utf-8")
    return tmp_path


@pytest.fixture
def uv(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that makes .venv and writes down how it was called; the file beside it decides how it ends."""
    folder = elsewhere / "bin"
    folder.mkdir()
    program = folder / "uv"
    program.write_text(
        f"""#!/bin/sh
if [ "$1" = --version ]; then echo uv {setup.UV_VERSION}; exit 0; fi
echo "$@" >> "{elsewhere}/calls"
echo "$UV_PYTHON $UV_PYTHON_DOWNLOADS $UV_COMPILE_BYTECODE" >> "{elsewhere}/environment"
if [ -f "{elsewhere}/fail" ]; then cat "{elsewhere}/fail" >&2; exit 2; fi
mkdir -p .venv/bin && : > .venv/bin/python
echo ' + package==1'
echo Installed
""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return program


def calls(folder: Path) -> list[str]:
    file = folder / "calls"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def test_the_second_start_does_nothing(elsewhere: Path, uv: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert setup.main(["test"]) == 0
    assert calls(elsewhere) == ["sync --frozen --inexact --no-default-groups --group local --group test"]
    said = capfd.readouterr().err
    assert "installing the locked packages" in said
    assert "Installed" in said
    assert setup.main(["test"]) == 0
    assert len(calls(elsewhere)) == 1
    assert capfd.readouterr().err == ""


def test_another_lock_another_group_or_a_lost_environment_is_a_reason_to_install(elsewhere: Path, uv: Path) -> None:
    assert setup.main(["ops"]) == 0
    assert setup.main(["check"]) == 0
    # What was there stays.
    assert calls(elsewhere)[-1].endswith("--group local --group sam --group test")
    (elsewhere / "uv.lock").write_text("lock 2", encoding="utf-8")
    assert setup.main(["ops"]) == 0
    assert calls(elsewhere)[-1].endswith("--group local --group sam --group test")
    (elsewhere / ".venv" / "bin" / "python").unlink()
    assert setup.main(["ops"]) == 0
    assert len(calls(elsewhere)) == 4
    setup.STAMP.write_text("not JSON", encoding="utf-8")
    assert setup.main(["ops"]) == 0
    assert len(calls(elsewhere)) == 5


def test_uv_uses_this_python_and_downloads_none(elsewhere: Path, uv: Path) -> None:
    setup.main(["ops"])
    python, downloads, compiled = (elsewhere / "environment").read_text(encoding="utf-8").split()
    assert Path(python).exists()
    assert (downloads, compiled) == ("never", "1")


def test_models_can_be_left_out() -> None:
    assert setup.wanted_groups("run", {"MODELS": "none"}) == {"local"}
    assert setup.wanted_groups("run", {"MODELS": "chat"}) == {"local", "models-chat"}
    assert setup.wanted_groups("run", {"MODELS": "local/smollm2-135m-instruct"}) == {"local", "models-chat"}
    assert setup.wanted_groups("run", {}) >= {"local", "models-chat"}
    assert setup.wanted_groups("bench", {}) == {"local", "test", "bench"}
    assert setup.wanted_groups("build", {}) == {"local", "sam"}


def test_a_failed_install_is_one_line_with_reason_and_log(
    elsewhere: Path, uv: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = "error: Failed to download `a==1`\n  cause: Failed to fetch\n  cause: invalid certificate\n\nhint: b\n"
    (elsewhere / "fail").write_text(output, encoding="utf-8")
    assert setup.main(["run"]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == (
        "setup: the packages could not be installed: Failed to download `a==1`: invalid certificate "
        f"(log: {elsewhere}/.cache/setup.log)"
    )
    assert (elsewhere / ".cache" / "setup.log").read_text(encoding="utf-8") == output
    assert not setup.STAMP.exists()
    (elsewhere / "fail").unlink()
    assert setup.main(["run"]) == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [([], "uv failed"), (["Resolved", "killed"], "uv failed: killed"), (["error: No space"], "No space")],
)
def test_reasons(lines: list[str], expected: str) -> None:
    assert setup.reason(lines) == expected


def test_an_unknown_purpose_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main([]) == 1
    assert capsys.readouterr().err == "setup: say what for: run, test, check, bench, build, ops\n"


def test_an_old_python_alone_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "/nowhere")
    assert setup.main(["run"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Python 3.11, 3.12 or 3.13 is needed" in line


def test_an_old_python_hands_over_to_a_fitting_one(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = elsewhere / "python3.12"
    newer.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    newer.chmod(0o755)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", str(elsewhere))
    handed: list[object] = []

    def execv(*arguments: object) -> None:
        handed.extend(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "execv", execv)
    assert setup.main(["run"]) == 130
    assert handed[0] == str(newer)


def test_an_old_uv_is_not_used(elsewhere: Path, uv: Path) -> None:
    uv.write_text("#!/bin/sh\necho uv 0.4.30\n", encoding="utf-8")
    assert setup.find_uv() is None
    uv.write_text("#!/bin/sh\necho something else\n", encoding="utf-8")
    assert setup.find_uv() is None


def wheel_index(monkeypatch: pytest.MonkeyPatch, *, digest: str | None = None) -> None:
    """A package index with uv for every machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{UV}.data/scripts/uv", "the program")
    wheel = buffer.getvalue()
    digest = digest or hashlib.sha256(wheel).hexdigest()
    tags = [
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "manylinux_2_28_aarch64",
        "musllinux_1_1_x86_64",
        "macosx_11_0_arm64",
        "macosx_10_12_x86_64",
    ]
    links = "".join(f'<a href="../files/{UV}-py3-none-{tag}.whl#sha256={digest}">x</a>' for tag in tags)
    monkeypatch.setattr(setup, "download", lambda url: links.encode() if url.endswith("/uv/") else wheel)


def test_without_pip_uv_comes_from_the_index(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel_index(monkeypatch)
    program = Path(setup.install_uv("/bin/false"))
    assert program == elsewhere / ".uv" / "bin" / "uv"
    assert program.read_text(encoding="utf-8") == "the program"
    assert os.access(program, os.X_OK)


def test_a_wheel_with_the_wrong_digest_is_refused(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel_index(monkeypatch, digest="0" * 64)
    with pytest.raises(setup.SetupError, match="SHA-256"):
        setup.install_uv("/bin/false")
    assert not (elsewhere / ".uv" / "bin" / "uv").exists()


@pytest.mark.parametrize(
    ("platform", "machine", "libc", "expected"),
    [
        ("linux", "x86_64", "glibc", "manylinux_2_17_x86_64"),
        ("linux", "aarch64", "glibc", "manylinux_2_28_aarch64"),
        ("linux", "AMD64", "", "musllinux_1_1_x86_64"),
        ("darwin", "arm64", "", "macosx_11_0_arm64"),
        ("darwin", "x86_64", "", "macosx_10_12_x86_64"),
        ("linux", "sparc", "glibc", None),
    ],
)
def test_the_wheel_fits_the_machine(
    monkeypatch: pytest.MonkeyPatch, platform: str, machine: str, libc: str, expected: str | None
) -> None:
    fake = SimpleNamespace(machine=lambda: machine, libc_ver=lambda: (libc, ""))
    monkeypatch.setattr(setup, "platform", fake)
    monkeypatch.setattr(sys, "platform", platform)
    tags = ["manylinux_2_17_x86_64", "manylinux_2_28_aarch64", "musllinux_1_1_x86_64", "macosx_11_0_arm64"]
    links = [f"https://h/{UV}-py3-none-{tag}.whl#sha256=0" for tag in [*tags, "macosx_10_12_x86_64"]]
    links.insert(0, f"https://h/uv-0.1.0-py3-none-{tags[0]}.whl")
    if expected is None:
        with pytest.raises(setup.SetupError, match="sparc"):
            setup.pick_wheel(links)
    else:
        assert f"{UV}-py3-none-{expected}.whl" in setup.pick_wheel(links)


def test_downloads_are_https_and_say_what_failed() -> None:
    with pytest.raises(setup.SetupError, match="not https"):
        setup.download("http://127.0.0.1/uv/")
    with pytest.raises(setup.SetupError, match=r"cannot download https://127\.0\.0\.1:9/"):
        setup.download("https://127.0.0.1:9/")


def test_a_second_setup_waits_for_the_first(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup.CACHE.mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True);"
            "sys.stdin.readline()",
            str(setup.CACHE / "setup.lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        original = setup.say

        def say(line: str) -> None:
            original(line)
            assert holder.stdin is not None
            holder.stdin.write(b"\n")
            holder.stdin.flush()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setup, "say", say)
            with setup.one_at_a_time():
                pass
    assert "waiting for another setup" in capsys.readouterr().err


def test_the_stamp_is_plain_json(elsewhere: Path, uv: Path) -> None:
    setup.main(["ops"])
    stamp = json.loads(setup.STAMP.read_text(encoding="utf-8"))
    assert stamp == {"lock": hashlib.sha256(b"lock 1").hexdigest(), "groups": ["local"]}
