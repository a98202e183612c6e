"""One job: scripts, tools, libraries, place and route, rows of figures."""
