"""The binding ``pynvml``: imported without another package's notice, and named where it is not NVIDIA's own."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eco2ai_callbacks.errors import MeterUnavailable
from eco2ai_callbacks.meters.gpu import nvml_binding

WHOLE = """
class NVMLError(Exception): ...
def nvmlInit(): ...
def nvmlShutdown(): ...
def nvmlDeviceGetCount(): return 0
def nvmlDeviceGetHandleByIndex(index): ...
"""

Site = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Installs packages in a folder that Python looks into first, and hides what is installed elsewhere."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if "site-packages" not in p)])
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)

    def install(package: str | None, text: str = WHOLE, *, file: str = "pynvml.py", version: str = "1.0") -> Path:
        module = tmp_path / file
        module.parent.mkdir(exist_ok=True)
        module.write_text(text)
        if package is not None:
            info = tmp_path / f"{package.replace('-', '_')}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
            (info / "top_level.txt").write_text("pynvml\n")
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            (info / "RECORD").write_text(f"{file},sha256={digest},{len(text)}\n")
        importlib.invalidate_caches()
        return module

    yield install
    sys.modules.pop("pynvml", None)


def test_nvidia_s_own_binding_is_loaded_and_nothing_is_said_of_it(site: Site) -> None:
    site("nvidia-ml-py", version="13.615.71")
    assert nvml_binding.complaint() is None  # before it is imported, and after
    assert "pynvml" not in sys.modules
    assert nvml_binding.load() is sys.modules["pynvml"]
    assert nvml_binding.complaint() is None


@pytest.mark.parametrize(
    ("package", "version", "file"),
    [("pynvml", "11.4.1", "pynvml/__init__.py"), ("nvidia-ml-py3", "7.352.0", "pynvml.py")],
)
def test_another_package_s_binding_is_used_and_named_with_what_mends_it(
    site: Site, package: str, version: str, file: str
) -> None:
    site("nvidia-ml-py")
    site(package, WHOLE + "OLD = True\n", file=file, version=version)
    assert nvml_binding.load().OLD
    said = f"the module pynvml is not that of nvidia-ml-py: it comes from the package {package} {version}"
    assert nvml_binding.complaint() == said
    mends = f"pip uninstall -y {package} && pip install --force-reinstall --no-deps nvidia-ml-py"
    assert nvml_binding.command() == mends


def test_of_two_packages_with_one_file_the_later_one_is_named(site: Site) -> None:
    site("nvidia-ml-py3", WHOLE + "OLD = True\n")
    site("nvidia-ml-py")
    assert nvml_binding.complaint() is None


def test_a_file_that_was_changed_since_belongs_to_the_package_that_lists_it(site: Site) -> None:
    site("nvidia-ml-py").write_text(WHOLE + "CHANGED = True\n")
    assert nvml_binding.complaint() is None


def test_a_file_of_the_name_that_hides_an_installed_binding_is_nobody_s(site: Site) -> None:
    site("nvidia-ml-py")
    path = site(None, file="pynvml/__init__.py")
    assert str(nvml_binding.complaint()).endswith(f"the file {path}, which no package has installed")


def test_a_file_that_only_has_the_name_is_said_to_be_none(site: Site) -> None:
    path = site(None, "'''Notes on NVML.'''\n")
    with pytest.raises(MeterUnavailable, match="not NVIDIA's binding: it has no NVMLError") as refused:
        nvml_binding.load()
    assert refused.value.hint == f"rename {path}, and pip install nvidia-ml-py"
    assert str(path) in str(nvml_binding.complaint())


@pytest.mark.parametrize(
    "text", ["print 'Python 2'\n", "import ctypes_of_another_time\n", "raise OSError('no library')\n", "1 + ''\n"]
)
def test_a_binding_that_cannot_be_imported_is_an_absence(site: Site, text: str) -> None:
    site("nvidia-ml-py3", text)
    with pytest.raises(MeterUnavailable) as refused:
        nvml_binding.load()
    assert refused.value.reason.startswith("the module pynvml cannot be imported: ")
    assert "pip uninstall -y nvidia-ml-py3" in str(refused.value.hint)


def test_where_nothing_is_installed_there_is_nothing_to_complain_of(site: Site) -> None:
    assert nvml_binding.complaint() is None
    with pytest.raises(MeterUnavailable, match="the package nvidia-ml-py is not installed"):
        nvml_binding.load()


def test_a_replacement_without_a_file_is_nobody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", ModuleType("pynvml"))
    assert nvml_binding.complaint() is None


class Notice:
    """An import hook that prints a notice once, as that of the package ``pynvml`` 13 does."""

    has_warned_pynvml = False

    def find_spec(self, name: str, _: Any, __: Any = None) -> None:
        if name.startswith("pynvml") and not self.has_warned_pynvml:
            warnings.warn("The pynvml package is deprecated.", FutureWarning, stacklevel=2)
            self.has_warned_pynvml = True


def test_the_notice_of_the_deprecated_package_is_not_printed_at_our_import(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("nvidia-ml-py")
    notice = Notice()
    monkeypatch.setattr(sys, "meta_path", [notice, *sys.meta_path])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert nvml_binding.complaint() is None
        nvml_binding.load()
        assert warnings.filters == before
    assert not notice.has_warned_pynvml
    with pytest.warns(FutureWarning, match="deprecated"):  # an import of the user's is not ours
        importlib.util.find_spec("pynvml_utils")


def test_a_notice_that_was_printed_is_not_printed_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site("nvidia-ml-py")
    notice = Notice()
    notice.has_warned_pynvml = True
    monkeypatch.setattr(sys, "meta_path", [notice, *sys.meta_path])
    nvml_binding.load()
    assert notice.has_warned_pynvml


def test_other_warnings_of_the_binding_are_the_user_s_to_see(site: Site) -> None:
    site("nvidia-ml-py", "import warnings\nwarnings.warn('of its own', UserWarning)\n" + WHOLE)
    with pytest.warns(UserWarning, match="of its own"):
        nvml_binding.load()
