"""What scripts/setup installs of ACME servers and clients: from where, once only, and what it says when it cannot."""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from acme_servers import install

GO = '#!/bin/sh\necho "$@" >> "$CALLS"\nprintf "#!/bin/sh" > "$GOBIN/pebble"\nchmod +x "$GOBIN/pebble"\n'
BROKEN = '#!/bin/sh\necho "$@" >> "$CALLS"\necho "cannot reach the module" >&2\nexit 1\n'
APT = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
update) touch "$LISTS" ;;
install)
  [ -f "$LISTS" ] || exit 100
  for package; do :; done
  printf "#!/bin/sh" > "$BIN/$package"
  chmod +x "$BIN/$package" ;;
esac
"""
PYTHON = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$2" = venv ] || exit 0
/bin/mkdir -p "$4/bin"
/bin/cp "$0" "$4/bin/python"
"""


class Machine:
    """A machine with nothing but what a test puts on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "path"
        self.own = folder / "own"
        self._calls = folder / "calls"
        self.path.mkdir()
        (self.path / "touch").symlink_to("/usr/bin/touch")
        (self.path / "chmod").symlink_to("/bin/chmod")

    def has(self, name: str, text: str = "#!/bin/sh\n") -> None:
        file = self.path / name
        file.write_text(text)
        file.chmod(0o755)

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An empty machine on which we are root."""
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(made.path))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("LISTS", str(tmp_path / "lists"))
    monkeypatch.setenv("BIN", str(made.path))
    monkeypatch.setattr(install, "PROGRAMS", made.own)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


def test_pebble_is_built_once(machine: Machine) -> None:
    """With Go, the pinned version is built into .local/bin; the second time nothing is run."""
    machine.has("go", GO)
    for _ in range(2):
        assert install.PEBBLE_VERSION in install.install_pebble()
    assert machine.calls() == [f"install {install.PEBBLE_MODULE}@{install.PEBBLE_VERSION}"]
    assert install.program("pebble") == machine.own / "pebble"


def test_another_pinned_version_is_built_anew(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the pin moves, Pebble is built again."""
    machine.has("go", GO)
    install.install_pebble()
    monkeypatch.setattr(install, "PEBBLE_VERSION", "v9.9.9")
    install.install_pebble()
    assert machine.calls()[-1].endswith("@v9.9.9")


def test_pebble_on_the_path_will_do_without_go(machine: Machine) -> None:
    """Without Go, a Pebble that is there is taken as it is."""
    machine.has("pebble")
    machine.has("apt-get", APT)
    assert str(machine.path / "pebble") in install.install_pebble()
    assert machine.calls() == []


def test_pebble_comes_from_debian_where_go_fails(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """When Go cannot build it, that is said, and Debian's package is installed, after its lists where they are old."""
    machine.has("go", BROKEN)
    machine.has("apt-get", APT)
    install.install_pebble()
    assert "cannot reach the module" in capsys.readouterr().err
    assert [each.split()[0] for each in machine.calls()] == ["install", "install", "update", "install"]
    assert install.program("pebble") == machine.path / "pebble"


@pytest.mark.parametrize(("root", "apt"), [(True, False), (False, True)], ids=["no apt-get", "not root"])
def test_nothing_to_install_from(machine: Machine, monkeypatch: pytest.MonkeyPatch, root: bool, apt: bool) -> None:
    """Without Go and without Debian's packages, the error says what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    if apt:
        machine.has("apt-get", APT)
    with pytest.raises(install.NotInstalledError, match="Install Go and run this again"):
        install.install_pebble()
    assert machine.calls() == []


def test_clients_are_installed_where_missing(machine: Machine) -> None:
    """lego and certbot come from Debian, each only where it is missing."""
    machine.has("lego")
    machine.has("apt-get", APT)
    install.install_clients()
    assert {each.split()[-1] for each in machine.calls() if each.startswith("install")} == {"certbot"}


def test_environment_is_made_once(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """acme2certifier's environment is made anew when its lock changed, and else left alone."""
    monkeypatch.setattr(install, "ENVIRONMENT", tmp_path / "environment")
    monkeypatch.setattr(install, "LOCKED", tmp_path / "locked.txt")
    machine.has("maker", PYTHON)
    (tmp_path / "locked.txt").write_text("one")
    assert install.acme2certifier_python() is None
    for _ in range(2):
        install.install_acme2certifier(str(machine.path / "maker"))
    assert len(machine.calls()) == 2
    assert install.acme2certifier_python() == tmp_path / "environment" / "bin" / "python"
    (tmp_path / "locked.txt").write_text("two")
    install.install_acme2certifier(str(machine.path / "maker"))
    assert len(machine.calls()) == 4


def test_lock_pins_hashes_and_names_no_address() -> None:
    """Every package of acme2certifier's environment has one version and its hashes, and no download address."""
    text = install.LOCKED.read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[\w.\-\[\]]+==\S+", each) and "--hash=sha256:" in each for each in packages)
    assert "://" not in text
    assert any(each.startswith("acme2certifier==") for each in packages)


def setup_script() -> Any:
    """scripts/setup as a module."""
    loader = SourceFileLoader("setup_script", str(install.REPOSITORY / "scripts" / "setup"))
    spec = spec_from_loader("setup_script", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(("argument", "status"), [("--with-pebble", 1), ("--with-acme-clients", 0)])
def test_setup_fails_for_what_was_asked_for(
    argument: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """scripts/setup --with-X exits with 1 and one sentence when X cannot be installed, and asks for nothing else."""
    script = setup_script()

    def missing() -> str:
        raise install.NotInstalledError("Pebble cannot be installed: do this")

    monkeypatch.setattr(script, "set_up", lambda: None)
    extras = {"with_pebble": ("", missing), "with_acme_clients": ("", lambda: "clients are there")}
    monkeypatch.setattr(script, "EXTRAS", extras)
    monkeypatch.setattr(sys, "argv", ["setup", argument])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == status
    expected = "Pebble cannot be installed: do this" if status else "clients are there"
    assert capsys.readouterr().err == f"perennial: {expected}\n"
