"""Find the packages: every folder here with an ``__init__.py`` is a part of the package ``amxfp4``.

The folders keep the names their users know; installed, they are one package. Folders of data are
packages, too, as setuptools sees it.
"""

from pathlib import Path

from setuptools import find_namespace_packages, setup

NOT_SHIPPED = (
    "amxfp4.synth.experiments.", "amxfp4.verif.tests.", "amxfp4.verif.plan.",
    "amxfp4.verif.data.vectors.",
)  # fmt: skip

rooms = sorted(path.parent.name for path in Path(__file__).parent.glob("*/__init__.py"))
folders = {room if room == "amxfp4" else f"amxfp4.{room}": room for room in rooms}
packages = list(folders)
for package, folder in folders.items():
    packages += [f"{package}.{name}" for name in find_namespace_packages(folder)]

setup(
    packages=[
        name for name in packages
        if not f"{name}.".startswith(NOT_SHIPPED) and "__pycache__" not in name
    ],
    package_dir=folders,
    package_data={"": ["*"]},
    exclude_package_data={"": ["*.pyc", "*.md"]},
)  # fmt: skip
