"""The unit behind pseudo-terminals."""

from amxfp4.verif.tests.host.terminal import serve  # noqa: F401  (a fixture)
