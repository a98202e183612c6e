"""The project as a whole: command line, documents, layers, setup, the verification plan."""
