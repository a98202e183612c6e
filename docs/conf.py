"""How Sphinx makes the site: ``make docs``.

Its source is the folder of the project, so that links of the documents hold there and in a browser.
"""

import amxfp4

project = "amxfp4"
author = "the amxfp4 authors"
release = version = amxfp4.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "verif/README.md",
]  # fmt: skip
exclude_patterns = [".*", "build", "**/__pycache__"]
html_theme = "furo"
html_title = f"amxfp4 {release}"
html_additional_pages = {"index": "start.html"}  # the first page is one folder below
html_show_sourcelink = False
html_show_copyright = False
templates_path = ["templates"]
myst_heading_anchors = 4  # as GitHub makes them
default_role = "code"
autodoc_mock_imports = ["torch"]  # the site is made without it
autodoc_typehints = "none"  # docstrings give types with shapes and ranges
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_custom_sections = ["Members", "Latency"]
