"""Find the packages: every top-level folder below is one part of the package ``amxfp4``."""

from setuptools import find_packages, setup

FOLDERS = ("params", "golden", "rtl", "gen", "synth", "host", "verif")
NOT_SHIPPED = ("tests", "tests.*", "experiments", "experiments.*")

packages = find_packages(include=["amxfp4", "amxfp4.*"])
for folder in FOLDERS:
    inside = find_packages(folder, exclude=NOT_SHIPPED)
    packages += [f"amxfp4.{folder}", *(f"amxfp4.{folder}.{name}" for name in inside)]

setup(packages=packages)
