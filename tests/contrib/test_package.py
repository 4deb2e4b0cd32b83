"""The Debian package: what is in it, and that its service finds everything where the package puts it."""

import gzip
import re
import subprocess

import pytest


@pytest.fixture(scope="module")
def package(root, program, tmp_path_factory):
    """The files of the package, unpacked, and the file itself."""
    program("cargo-deb")
    command = ["cargo", "xtask", "package", "--no-build", "--profile", "dev"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    file, directory = done.stdout.split()[-1], tmp_path_factory.mktemp("package")
    subprocess.run([program("dpkg-deb"), "--raw-extract", file, directory / "root"], check=True)
    return directory / "root"


def test_the_service_finds_what_the_package_brings(package):
    unit = next(package.rglob("evenkeel.service")).read_text()
    for path in re.findall(r"(/(?:usr|etc)/\S+)", unit):
        assert (package / path.lstrip("/")).exists(), path
    scripts = (package / "DEBIAN/postinst").read_text()
    user = re.search(r"^User=(\w+)$", unit, re.M)[1]
    assert re.search(rf"adduser .*--system .* {user}$", scripts, re.M) and "#DEBHELPER#" not in scripts
    configuration = package / "etc/evenkeel/evenkeel.toml"
    subprocess.run([package / "usr/bin/evenkeel", "check", "-c", configuration], check=True)
    for log in re.findall(r'access = "(.*?)"', configuration.read_text()):
        assert log.startswith("/var/log/evenkeel/") and "LogsDirectory=evenkeel" in unit


def test_files_of_the_operator_survive_an_upgrade(package):
    kept = (package / "DEBIAN/conffiles").read_text().split()
    there = [f"/{file.relative_to(package)}" for file in (package / "etc").rglob("*") if file.is_file()]
    assert sorted(kept) == sorted(there) and len(kept) == 2


def test_nothing_starts_or_stops_by_itself(package):
    for script in ("postinst", "prerm"):
        text = (package / "DEBIAN" / script).read_text()
        assert not re.search(r"(deb-systemd-invoke|systemctl) .*(re)?start", text), f"{script}:\n{text}"


def test_manual_and_completions_know_the_commands(package):
    pages = list((package / "usr/share/man/man1").glob("*.1*"))
    main = next(page for page in pages if page.name.startswith("evenkeel.1"))
    text = gzip.decompress(main.read_bytes()) if main.suffix == ".gz" else main.read_bytes()
    for command in (b"run", b"check", b"explain"):
        assert rb"evenkeel\-" + command in text
        assert any(page.name.startswith(f"evenkeel-{command.decode()}.1") for page in pages)
    for shell in ("bash-completion/completions/evenkeel", "zsh/vendor-completions/_evenkeel"):
        assert "explain" in (package / "usr/share" / shell).read_text()
    bash = package / "usr/share/bash-completion/completions/evenkeel"
    script = f'source {bash}; COMP_WORDS=(evenkeel ex); COMP_CWORD=1; _evenkeel evenkeel ex evenkeel; echo "${{COMPREPLY[@]}}"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["explain"]
